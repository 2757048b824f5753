#pragma once
#include <httplib.h>

#include <string>

#include "protocol/error.h"

namespace syncline {

// Refusals over HTTP: the same one line as on the control socket, as JSON.
int http_status_of(Error::Code code);
void http_reply_error(httplib::Response& response, int status, Error::Code code, std::string message);
inline void http_reply_silent(httplib::Response& response) {
  http_reply_error(response, 503, Error::Code::busy, "the node does not answer");
}

}  // namespace syncline
