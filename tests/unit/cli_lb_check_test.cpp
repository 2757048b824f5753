#include "cli/lb_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace syncline {
namespace {

using ::testing::HasSubstr;

// Three servers, n probes taken in turn, read back in turn, everywhere at once.
LbObservation healthy(std::size_t n = 6) {
  LbObservation seen;
  for (const char* name : {"web1", "web2", "web3"})
    seen.servers.push_back({std::string("http://") + name, name, 200});
  for (std::size_t i = 0; i < n; ++i) {
    LbProbe p;
    p.name = "p" + std::to_string(i), p.upload_status = 201, p.taken_by = seen.servers[i % 3].name;
    p.first_read = 200, p.first_right = true, p.read_from = seen.servers[(i + 1) % 3].name;
    p.at_once = p.in_the_end = {true, true, true}, p.removed = true;
    seen.probes.push_back(p);
  }
  seen.readers = {"web1", "web2", "web3"};
  return seen;
}

std::string bad_lines(const LbObservation& seen) {
  std::string out;
  for (const LbFinding& f : judge({}, seen))
    if (f.grade == LbFinding::Grade::bad) out += f.text + "\n";
  return out;
}

TEST(LbCheck, a_good_balancer_has_no_problem_and_what_cannot_be_told_is_said) {
  EXPECT_EQ(bad_lines(healthy()), "");
  const std::string text = render(judge({}, healthy()));
  EXPECT_THAT(text, HasSubstr("no method pinning: POST went to web1 2, web2 2, web3 2"));
  EXPECT_THAT(text, HasSubstr("unclear  health checks: every server is ready"));
}

TEST(LbCheck, writes_that_all_land_on_one_server_are_pinned) {
  LbObservation seen = healthy();
  for (LbProbe& p : seen.probes) p.taken_by = "web1";
  EXPECT_THAT(bad_lines(seen),
              HasSubstr("method pinning: every POST whose server is known went to web1 (6 of 6)"));
  LbObservation few = seen;
  few.probes.resize(5);
  EXPECT_EQ(bad_lines(few), "") << "too few to tell";
  EXPECT_THAT(render(judge({}, few)),
              HasSubstr("unclear  method pinning: POST went to web1 every time, but 5 uploads are too few"));
  seen.servers.clear();
  for (LbProbe& p : seen.probes) p.at_once.clear(), p.in_the_end.clear();
  EXPECT_THAT(bad_lines(seen), HasSubstr("method pinning")) << "told from the readers alone";
  seen.readers = {"web1"};
  EXPECT_EQ(bad_lines(seen), "") << "one server may be all there is";
  for (LbProbe& p : seen.probes) p.taken_by = "";
  EXPECT_THAT(render(judge({}, seen)),
              HasSubstr("unclear  method pinning: which server took an upload cannot be told"));
}

TEST(LbCheck, missing_and_stale_reads_are_problems) {
  LbObservation seen = healthy();
  seen.probes[1].first_right = false, seen.probes[1].first_read = 404;
  EXPECT_THAT(bad_lines(seen), HasSubstr("1 of 6 uploads were not there"));
  seen = healthy();
  seen.probes[1].first_right = false;
  EXPECT_THAT(bad_lines(seen), HasSubstr("1 of 6 uploads came back with other bytes"));
  seen = healthy();
  seen.probes[2].at_once[1] = false;
  EXPECT_EQ(bad_lines(seen), "") << "a moment later is good enough";
  seen.probes[2].in_the_end[1] = false;
  EXPECT_THAT(bad_lines(seen), HasSubstr("web2 lacked 1 of 6 uploads"));
}

TEST(LbCheck, a_server_that_is_not_ready_must_get_nothing) {
  LbObservation seen = healthy();
  seen.servers[2].ready = 503;
  EXPECT_THAT(bad_lines(seen), HasSubstr("web3 is not ready (503), and the balancer sent it 4 requests"));
  for (LbProbe& p : seen.probes) p.taken_by = "web1", p.read_from = "web2";
  seen.probes[0].taken_by = "web2";
  EXPECT_EQ(bad_lines(seen), "");
  seen.servers[0].ready = 404;
  EXPECT_THAT(bad_lines(seen), HasSubstr("web1 answers 404 at /syncline-readyz"));
}

TEST(LbCheck, failed_uploads_are_counted_by_their_status_and_leftovers_named) {
  LbObservation seen = healthy();
  seen.probes[0].upload_status = 502, seen.probes[1].upload_status = -1, seen.probes[2].removed = false;
  const std::string text = render(judge({}, seen));
  EXPECT_THAT(text, HasSubstr("problem  uploads (POST) failed: no answer: 1, status 502: 1"));
  EXPECT_THAT(text, HasSubstr("1 probe could not be removed (DELETE): p2"));
}

TEST(LbCheck, urls_are_checked_before_anything_is_sent) {
  for (const char* url : {"ftp://x/", "http://", "http://a b/", "http://x/?q"}) {
    LbCheckOptions o;
    o.url = url;
    const auto seen = observe(o);
    ASSERT_FALSE(seen) << url;
    EXPECT_EQ(seen.error().code, Error::Code::invalid) << url;
  }
}

}  // namespace
}  // namespace syncline
