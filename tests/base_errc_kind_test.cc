// The groups of Errc. Each test counts the members of a group over all of Errc, so it finds a new
// enumerator that is in a group by mistake.
#include "base/errc_kind.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <set>

namespace tern::base {
namespace {

template <class Predicate>
std::set<Errc> members(Predicate belongs) {
  std::set<Errc> found;
  for (int value = 1; value <= static_cast<int>(Errc::proxy_header_invalid); ++value) {
    const auto errc = static_cast<Errc>(value);
    if (belongs(make_error_code(errc))) found.insert(errc);
  }
  return found;
}

TEST(ErrcKind, SilenceIsATimeoutOfThePeer) {
  EXPECT_EQ(members(is_silence),
            (std::set{Errc::pong_timeout, Errc::close_timeout, Errc::write_stalled}));
}

TEST(ErrcKind, AbruptEndsLeaveNothingToWaitFor) {
  EXPECT_EQ(members(is_abrupt),
            (std::set{Errc::pong_timeout, Errc::close_timeout, Errc::write_stalled,
                      Errc::connection_reset, Errc::terminated, Errc::no_memory, Errc::overloaded,
                      Errc::closed}));
  EXPECT_TRUE(is_abrupt(std::error_code(ETIMEDOUT, std::system_category())));
  EXPECT_FALSE(is_abrupt(std::error_code()));
}

TEST(ErrcKind, TlsFailuresLeaveTcpWorking) {
  EXPECT_EQ(members(is_tls_failure), (std::set{Errc::tls_failed, Errc::tls_certificate_refused,
                                               Errc::tls_own_certificate_refused}));
}

TEST(ErrcKind, EndsOfTcpIncludeResetAndTruncation) {
  EXPECT_EQ(members(is_end_of_tcp),
            (std::set{Errc::end_of_stream, Errc::connection_reset, Errc::tls_truncated}));
}

// An error of the system may have the same number as an Errc. It still belongs to no group.
TEST(ErrcKind, ErrorsOfTheSystemHaveNoErrc) {
  const auto other = [](Errc errc) {
    return std::error_code(static_cast<int>(errc), std::system_category());
  };
  EXPECT_FALSE(is_silence(other(Errc::pong_timeout)));
  EXPECT_FALSE(is_tls_failure(other(Errc::tls_failed)));
  EXPECT_FALSE(is_end_of_tcp(other(Errc::end_of_stream)));
}

}  // namespace
}  // namespace tern::base
