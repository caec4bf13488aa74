// connect_any and poll_until: which address wins, the texts of errors, and that no address delays
// the others.
#include "client/connect.h"
#include "support/socket_peer.h"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/time.h>

namespace tern::client {
namespace {

using namespace std::chrono_literals;
using test::Listener;
using test::RefusedPort;

net::Address address_of(const Listener& listener) {
  return *net::Address::parse("127.0.0.1", listener.port());
}

// A listener whose queue is full. A further connection gets no answer, as from an address that
// drops packets.
class FullListener : public Listener {
 public:
  FullListener() : Listener(0) {
    const net::Address address = address_of(*this);
    for (int i = 0; i < 8; ++i) {
      test::Socket& filler = fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
      ::fcntl(filler.fd(), F_SETFL, O_NONBLOCK);
      [[maybe_unused]] const int pending = ::connect(filler.fd(), address.data(), address.size());
    }
  }

 private:
  std::vector<test::Socket> fillers_{};
};

TEST(ClientConnect, ConnectsToTheOnlyAddress) {
  const Listener listener;
  const auto socket = connect_any({address_of(listener)}, {.deadline = deadline_after(60s)});
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_NE(::fcntl(socket->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(socket->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ClientConnect, RefusalNamesAddressAndReason) {
  const RefusedPort port;
  const auto socket = connect_any({address_of(port)}, {.deadline = deadline_after(60s)});
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code(), std::errc::connection_refused);
  EXPECT_EQ(socket.error().message(), "connect " + port.authority() + ": Connection refused");
}

// With a delay of 250 ms after each refusal, this would take 50 s.
TEST(ClientConnect, TriesTheNextAddressAtOnceAfterARefusal) {
  const RefusedPort refused;
  const Listener listener;
  net::Addresses addresses(200, address_of(refused));
  addresses.push_back(address_of(listener));
  const auto socket = connect_any(addresses, {.deadline = deadline_after(40s)});
  ASSERT_TRUE(socket) << socket.error().message();
}

TEST(ClientConnect, ErrorNamesAllRefusals) {
  const RefusedPort first;
  const RefusedPort second;
  const auto socket =
      connect_any({address_of(first), address_of(second)}, {.deadline = deadline_after(60s)});
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().message(), "connect " + first.authority() + " (Connection refused), " +
                                          second.authority() + ": Connection refused");
}

TEST(ClientConnect, Rfc8305_5_TriesTheNextAddressAfter250Ms) {
  const FullListener silent;
  const Listener listener;
  const auto start = Clock::now();
  const auto socket =
      connect_any({address_of(silent), address_of(listener)}, {.deadline = deadline_after(60s)});
  const auto took = Clock::now() - start;
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_GE(took, 250ms);  // less would mean that the first address answered
  EXPECT_LT(took, 30s);
}

TEST(ClientConnect, TimeoutNamesAddressesThatDoNotAnswer) {
  const RefusedPort refused;
  const FullListener silent;
  const auto start = Clock::now();
  const auto socket =
      connect_any({address_of(refused), address_of(silent)}, {.deadline = deadline_after(300ms)});
  const auto took = Clock::now() - start;
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code(), Errc::handshake_timeout);
  EXPECT_EQ(socket.error().message(), "connect " + refused.authority() + " (Connection refused), " +
                                          silent.authority() +
                                          ": the opening handshake took too long");
  EXPECT_GE(took, 300ms);
  EXPECT_LT(took, 30s);
}

TEST(ClientConnect, DeadlineInThePastReportsATimeout) {
  const FullListener silent;
  const auto socket = connect_any({address_of(silent)}, {.deadline = deadline_after(-1s)});
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code(), Errc::handshake_timeout);
}

TEST(ClientWait, DeadlineAfterMaxIsMax) {
  EXPECT_EQ(deadline_after(std::chrono::nanoseconds::max()), Clock::time_point::max());
  EXPECT_LT(deadline_after(0s), deadline_after(1h));
}

TEST(ClientWait, SignalsDoNotShortenTheWait) {
  struct sigaction old {};
  struct sigaction interrupting {};
  interrupting.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &interrupting, &old), 0);
  const itimerval often{.it_interval = {0, 5000}, .it_value = {0, 5000}};
  const itimerval never{};
  const auto deadline = deadline_after(60ms);
  ::setitimer(ITIMER_REAL, &often, nullptr);
  EXPECT_FALSE(poll_until({}, deadline));
  ::setitimer(ITIMER_REAL, &never, nullptr);
  EXPECT_GE(Clock::now(), deadline);
  ::sigaction(SIGALRM, &old, nullptr);
}

}  // namespace
}  // namespace tern::client
