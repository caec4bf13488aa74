// Options that can never work are refused, and the message names the option.
#include "engine/validate.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::engine {
namespace {

using namespace std::chrono_literals;

TEST(EngineValidate, TheDefaultsAreValid) {
  EXPECT_EQ(why_invalid(Limits{}), "");
  EXPECT_EQ(why_invalid(Timeouts{}), "");
  EXPECT_EQ(why_invalid(Accept{}), "");
  EXPECT_EQ(why_invalid_origins({}), "");
}

TEST(EngineValidate, RefusesSizesOfZero) {
  const std::pair<const char*, Limits> cases[] = {
      {"max_message_bytes", {.max_message_bytes = 0}},
      {"max_fragments", {.max_fragments = 0}},
      {"max_head_bytes", {.max_head_bytes = 0}},
      {"max_request_line_bytes", {.max_request_line_bytes = 0}},
      {"max_header_fields", {.max_header_fields = 0}},
      {"max_queued_bytes", {.max_queued_bytes = 0}},
      {"high_water_bytes", {.high_water_bytes = 0, .low_water_bytes = 0}},
  };
  for (const auto& [name, limits] : cases) {
    EXPECT_EQ(why_invalid(limits),
              "limits." + std::string(name) + " is 0, so nothing could ever pass");
  }
  EXPECT_EQ(why_invalid(Limits{.low_water_bytes = 0}), "");
}

TEST(EngineValidate, Rfc6455_4_1_TheLimitsOfAHeadAllowAHandshake) {
  EXPECT_EQ(why_invalid(Limits{
                .max_head_bytes = 256, .max_request_line_bytes = 14, .max_header_fields = 5}),
            "");
  const std::pair<std::string, Limits> cases[] = {
      {"max_head_bytes (255) is below 256", {.max_head_bytes = 255}},
      {"max_head_bytes (64) is below 256", {.max_head_bytes = 64}},
      {"max_request_line_bytes (13) is below 14", {.max_request_line_bytes = 13}},
      {"max_header_fields (4) is below 5", {.max_header_fields = 4}},
  };
  for (const auto& [why, limits] : cases) {
    EXPECT_EQ(why_invalid(limits),
              "limits." + why + ", so no WebSocket handshake could ever pass; raise it");
  }
}

TEST(EngineValidate, WaterMarksAreInOrder) {
  EXPECT_EQ(why_invalid(Limits{.high_water_bytes = 10, .low_water_bytes = 10}), "");
  EXPECT_EQ(why_invalid(Limits{.high_water_bytes = 10, .low_water_bytes = 11}),
            "limits.low_water_bytes (11) is above limits.high_water_bytes (10), so on_drain would "
            "follow while the queue is still congested; lower it");
  EXPECT_EQ(why_invalid(Limits{.max_queued_bytes = 262'144}), "");
  EXPECT_EQ(why_invalid(Limits{.max_queued_bytes = 262'143}),
            "limits.high_water_bytes (262144) is above limits.max_queued_bytes (262143), so send() "
            "would never return congested; lower it, and low_water_bytes with it");
}

TEST(EngineValidate, TimesAreNotNegative) {
  using Member = Timeouts::Duration Timeouts::*;
  struct Case {
    const char* name;
    Member member;
    bool may_be_zero;
  };
  const Case cases[] = {
      {"handshake", &Timeouts::handshake, false}, {"silence", &Timeouts::silence, false},
      {"pong", &Timeouts::pong, false},           {"stall", &Timeouts::stall, false},
      {"close", &Timeouts::close, true},          {"http_idle", &Timeouts::http_idle, true}};
  for (const Case& given : cases) {
    const std::string name = "timeouts." + std::string(given.name);
    Timeouts timeouts;
    timeouts.*given.member = -1ns;
    EXPECT_EQ(why_invalid(timeouts),
              name + " is negative; nanoseconds::max() switches a deadline off");
    timeouts.*given.member = 0ns;
    EXPECT_EQ(why_invalid(timeouts).starts_with(name + " is 0"), !given.may_be_zero);
    timeouts.*given.member = Timeouts::Duration::max();
    EXPECT_EQ(why_invalid(timeouts), "");
    timeouts.*given.member = 1ns;
    EXPECT_EQ(why_invalid(timeouts), "");
  }
}

TEST(EngineValidate, Rfc6454_6_2_AcceptsOriginsThatABrowserCanSend) {
  const std::vector<std::string> good{"*",
                                      "null",
                                      "https://example.org",
                                      "HTTP://EXAMPLE.org:8080",
                                      "http://[::1]:9001",
                                      "app://x",
                                      "chrome-extension://abcdef"};
  EXPECT_EQ(why_invalid_origins(good), "");
  const std::pair<std::string, std::string> bad[] = {
      {"https://a/", "has text after the host, and browsers do not send it: write \"https://a\""},
      {"https://a/path",
       "has text after the host, and browsers do not send it: write \"https://a\""},
      {"https://a:1?q",
       "has text after the host, and browsers do not send it: write \"https://a:1\""},
      {"a.example", "has no scheme: write \"https://example.org\""},
      {"//a.example", "has no scheme: write \"https://example.org\""},
      {"", "has no scheme: write \"https://example.org\""},
      {" https://a", "contains a blank"},
      {"https://a ", "contains a blank"},
      {"https://*.a", "contains *, which is no wildcard there: list each origin, or \"*\" for any"},
      {"https://", "is no origin: write scheme, host and, if it is not the default, port"},
      {"https://a:99999", "is no origin: write scheme, host and, if it is not the default, port"},
      {"https://u@a", "is no origin: write scheme, host and, if it is not the default, port"},
  };
  for (const auto& [entry, why] : bad) {
    EXPECT_EQ(why_invalid_origins(std::vector<std::string>{"*", entry}),
              "allowed_origins: \"" + entry + "\" " + why);
  }
}

TEST(EngineValidate, Rfc6455_4_1_ChecksSubprotocolsAndFieldsOfARoute) {
  EXPECT_EQ(why_invalid(Accept{.protocols = {"chat", "v2.json"}, .headers = {{"X-A", "b"}}}), "");
  EXPECT_EQ(why_invalid(Accept{.protocols = {"a", "b c"}}),
            "protocols: subprotocol \"b c\": it is no token (RFC 9110 §5.6.2)");
  EXPECT_EQ(why_invalid(Accept{.protocols = {""}}),
            "protocols: subprotocol \"\": it is no token (RFC 9110 §5.6.2)");
  EXPECT_EQ(why_invalid(Accept{.protocols = {"a", "b", "a"}}),
            "protocols: subprotocol \"a\": it occurs twice");
  EXPECT_EQ(why_invalid(Accept{.headers = {{"Upgrade", "x"}}}),
            "headers: header field \"Upgrade\": tern writes this field itself");
  EXPECT_EQ(why_invalid(Accept{.headers = {{"A b", "x"}}}),
            "headers: header field \"A b\": the name is no token (RFC 9110 §5.1)");
  EXPECT_EQ(why_invalid(Accept{.limits = Limits{.max_fragments = 0}}),
            "limits.max_fragments is 0, so nothing could ever pass");
}

}  // namespace
}  // namespace tern::engine
