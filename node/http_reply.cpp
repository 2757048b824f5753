#include "node/http_reply.h"

#include "protocol/control.h"

namespace syncline {

int http_status_of(Error::Code code) {
  switch (code) {
    case Error::Code::not_found:
      return 404;
    case Error::Code::invalid:
      return 400;
    case Error::Code::refused:
      return 403;
    case Error::Code::busy:
    case Error::Code::full:
      return 503;
    case Error::Code::timed_out:
      return 504;
    default:
      return 500;
  }
}

void http_reply_error(httplib::Response& response, int status, Error::Code code, std::string message) {
  response.status = status;
  if (status == 503) response.set_header("Retry-After", "1");
  response.set_content(encode_reply(fail(code, std::move(message))) + "\n", "application/json");
}

}  // namespace syncline
