// Reconnection of a client as pure functions: which failures are transient, how long it waits
// before the next attempt, and the field Retry-After. The tests supply time and randomness.
#include "tern/dial.h"

#include "client/retry.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <random>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using tern::CloseCode;
using tern::CloseInfo;
using tern::dial;
using tern::Errc;
using tern::Error;
using tern::is_transient;
using tern::client::Backoff;
using tern::client::BackoffOptions;
using tern::client::judge;
using tern::client::parse_retry_after;
using tern::client::Verdict;

constexpr BackoffOptions usual{
    .first = 1s, .first_after_end = 5s, .most = 60s, .stable = 10s, .attempts = 0};
constexpr std::uint64_t largest = ~std::uint64_t{0};

Error answered(int status, Errc errc = Errc::upgrade_refused) {
  return Error(errc, "upgrade", {.status = status, .fields = {}, .body = {}});
}

TEST(RetryVerdict, AStatusIsTransientOnlyIfTheServerMayWorkLater) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(judge(answered(status)), Verdict::transient) << status;
  }
  for (const int status : {200, 204, 301, 302, 308, 400, 401, 403, 404, 410, 426, 501, 505}) {
    EXPECT_EQ(judge(answered(status)), Verdict::fatal) << status;
  }
}

TEST(RetryVerdict, OfAProxyOnlyItsOwnFailuresAreTransient) {
  for (const int status : {502, 503, 504}) {
    EXPECT_EQ(judge(answered(status, Errc::proxy_refused)), Verdict::transient) << status;
  }
  for (const int status : {0, 400, 403, 404, 405, 500}) {
    EXPECT_EQ(judge(answered(status, Errc::proxy_refused)), Verdict::fatal) << status;
  }
  EXPECT_EQ(judge(answered(407, Errc::proxy_auth_required)), Verdict::fatal);
  EXPECT_EQ(judge(Error(Errc::proxy_failed)), Verdict::transient);
}

TEST(RetryVerdict, TheNetworkIsTransientAndOurOwnMistakeIsFatal) {
  for (const Errc errc : {Errc::name_not_resolved, Errc::handshake_timeout, Errc::tls_failed,
                          Errc::tls_truncated, Errc::end_of_stream, Errc::connection_reset}) {
    EXPECT_EQ(judge(Error(errc)), Verdict::transient) << errc_name(errc);
  }
  EXPECT_EQ(judge(Error(std::make_error_code(std::errc::connection_refused))), Verdict::transient);
  for (const Errc errc :
       {Errc::url_invalid, Errc::invalid_header, Errc::options_invalid, Errc::tls_options_invalid,
        Errc::tls_certificate_refused, Errc::tls_own_certificate_refused, Errc::redirect_refused,
        Errc::too_many_redirects, Errc::stopped, Errc::accept_invalid, Errc::extension_not_offered,
        Errc::extension_answer_invalid, Errc::protocol_not_offered, Errc::upgrade_header_invalid,
        Errc::http_malformed}) {
    EXPECT_EQ(judge(Error(errc)), Verdict::fatal) << errc_name(errc);
  }
}

// A wrong path stays wrong. A Unix socket that is not there may come.
TEST(RetryVerdict, AFileThatCannotBeReadIsFatal) {
  for (const auto errc : {std::errc::no_such_file_or_directory, std::errc::permission_denied,
                          std::errc::is_a_directory}) {
    EXPECT_EQ(judge(Error(std::make_error_code(errc))), Verdict::fatal);
    EXPECT_EQ(judge(Error({static_cast<int>(errc), std::system_category()})), Verdict::transient);
  }
  const auto no_file = dial("wss://127.0.0.1:1/", {.tls = {.ca_file = "/nonexistent"}});
  ASSERT_FALSE(no_file);
  EXPECT_EQ(no_file.error().code(), std::errc::no_such_file_or_directory);
  EXPECT_FALSE(is_transient(no_file.error()));
  const auto no_server = dial("ws+unix:///nonexistent");
  ASSERT_FALSE(no_server);
  EXPECT_EQ(no_server.error().code(), std::errc::no_such_file_or_directory);
  EXPECT_TRUE(is_transient(no_server.error()));
}

TEST(RetryVerdict, ACloseCodeThatBlamesUsIsAFailure) {
  for (const int code : {1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014}) {
    EXPECT_EQ(judge(CloseInfo{.code = static_cast<CloseCode>(code)}), Verdict::transient) << code;
  }
  for (const int code : {1002, 1003, 1007, 1008, 1009, 1010, 3000, 4001, 4999}) {
    EXPECT_EQ(judge(CloseInfo{.code = static_cast<CloseCode>(code)}), Verdict::failure) << code;
  }
  for (const Errc errc : {Errc::handler_threw, Errc::no_memory}) {
    const CloseInfo end{.code = CloseCode::internal_error, .error = errc};
    EXPECT_EQ(judge(end), Verdict::failure) << errc_name(errc);
  }
}

TEST(Backoff, AWaitLiesBetweenTheFloorAndALimitThatDoubles) {
  Backoff lowest(usual);
  Backoff highest(usual);
  const std::array limits{1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s};
  for (const auto limit : limits) {
    EXPECT_EQ(lowest.after_failure(0), Backoff::floor);
    const auto wait = highest.after_failure(largest);
    EXPECT_LE(wait, limit);
    EXPECT_GT(wait, limit - 1us);
  }
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_LE(highest.after_failure(largest), 60s) << "after many failures nothing overflows";
  }
}

TEST(Backoff, AServerThatAcceptsAndClosesIsDialedLessOften) {
  Backoff backoff(usual);
  for (const auto limit : {5s, 10s, 20s, 40s, 60s, 60s}) {
    const auto wait = backoff.after_end(Verdict::transient, 0s, largest);
    EXPECT_LE(wait, limit);
    EXPECT_GT(wait, limit - 1us);
    EXPECT_EQ(Backoff(usual).after_end(Verdict::transient, 0s, 0), Backoff::floor);
  }
}

TEST(Backoff, OnlyAStableConnectionForgetsFailures) {
  Backoff backoff(usual);
  for (int i = 0; i < 5; ++i) backoff.after_failure(0);
  backoff.after_end(Verdict::transient, 10s - 1ns, 0);
  EXPECT_EQ(backoff.failures(), 6u);
  backoff.after_end(Verdict::failure, 1h, 0);
  EXPECT_EQ(backoff.failures(), 7u) << "however long it was open";
  EXPECT_LE(backoff.after_end(Verdict::transient, 10s, largest), 5s);
  EXPECT_EQ(backoff.failures(), 0u);
}

TEST(Backoff, SettleForgetsFailures) {
  Backoff backoff(usual);
  for (int i = 0; i < 5; ++i) backoff.after_failure(0);
  backoff.settle();
  EXPECT_LE(backoff.after_failure(largest), 1s);
}

TEST(Backoff, AttemptsAreLimitedInARow) {
  BackoffOptions options = usual;
  options.attempts = 3;
  Backoff backoff(options);
  EXPECT_TRUE(backoff.after_failure(0));
  EXPECT_TRUE(backoff.after_end(Verdict::transient, 1s, 0));
  EXPECT_TRUE(backoff.after_end(Verdict::transient, 10s, 0)) << "a stable end starts over";
  EXPECT_TRUE(backoff.after_failure(0));
  EXPECT_TRUE(backoff.after_failure(0));
  EXPECT_FALSE(backoff.after_failure(0));
}

TEST(Backoff, TheServersWishIsTheLeast) {
  Backoff backoff(usual);
  EXPECT_EQ(backoff.after_failure(0, 30s), 30s + Backoff::floor);
}

TEST(Backoff, ExtremeOptionsDoNotOverflow) {
  const auto longest = std::chrono::nanoseconds::max();
  const BackoffOptions widest{
      .first = longest, .first_after_end = longest, .most = longest, .stable = {}};
  Backoff backoff(widest);
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(backoff.after_failure(largest), Backoff::floor);
    EXPECT_GE(backoff.after_end(Verdict::failure, 0s, largest), Backoff::floor);
  }
  const BackoffOptions nothing;
  Backoff zero(nothing);
  EXPECT_EQ(zero.after_failure(largest), Backoff::floor) << "no options go below the floor";
}

// A server restarts, and 10 000 clients come back: each tenth of the window gets its share.
TEST(Backoff, ManyClientsSpreadOverTheWindow) {
  std::mt19937_64 random(1);
  std::array<int, 10> buckets{};
  constexpr int clients = 10'000;
  for (int i = 0; i < clients; ++i) {
    const auto wait = *Backoff(usual).after_end(Verdict::transient, 1h, random());
    const auto place = (wait - Backoff::floor) * 10 / (5s - Backoff::floor);
    ++buckets[std::min<std::size_t>(static_cast<std::size_t>(place), 9)];
  }
  double chi_square = 0;
  for (const int count : buckets) {
    const double expected = clients / 10.0;
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 27.9) << "9 degrees of freedom, one in a thousand; the seed is fixed";
}

TEST(RetryAfter, Rfc9110_10_2_3_IsSecondsOrADate) {
  const std::chrono::sys_seconds now(784'111'777s);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("0", now), 0s);
  EXPECT_EQ(parse_retry_after("120", now), 120s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), 30s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), 0s) << "in the past";
}

TEST(RetryAfter, IsAtMostTenMinutes) {
  const std::chrono::sys_seconds now(784'111'777s);
  for (const std::string_view field :
       {"601", "4294967295", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"}) {
    EXPECT_EQ(parse_retry_after(field, now), 10min) << field;
  }
}

TEST(RetryAfter, IsIgnoredIfMalformed) {
  for (const std::string_view field : {"", "-1", "1.5", "soon", "1 minute"}) {
    EXPECT_FALSE(parse_retry_after(field, {})) << field;
  }
}

}  // namespace
