// X37: a stage of a loop client's attempt fails: the server or the proxy resets, ends or stalls,
// its answer is nonsense or is cut, or it comes byte by byte. The stages are the upgrade, CONNECT
// to an HTTP proxy and the greeting of a SOCKS5 proxy. Also the answers of a hostile proxy, a name
// without an address, and a server that closes at once.
//
// Pass: the attempt ends once, at its stage and within its deadline. Then the client connects to a
// peer that works. An answer byte by byte is no failure. A server is never hit faster than the
// floor of 100 ms. Nothing is left: descriptors, connections, blocks. CI cuts an HTTP answer at
// each third or seventh byte.
#include "tern/client.h"

#include "faults/support/accepting_peer.h"
#include "faults/support/tls_attacked.h"
#include "faults/support/trying.h"
#include "support/recorded_client.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

// The bytes of a way to the server: the end of the question, and the whole answer of the far end.
struct Way {
  const char* name;
  Stage stage;
  std::string proxy{};   // its scheme; empty: none
  std::string asked{};   // the last bytes of the question, behind which the answer begins
  std::string answer{};  // of the stage
};

const Way upgrade{.name = "upgrade", .stage = Stage::upgrade, .asked = "\r\n\r\n", .answer = {}};
const Way connect_to_proxy{.name = "CONNECT",
                           .stage = Stage::proxy,
                           .proxy = "http",
                           .asked = "\r\n\r\n",
                           .answer = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"};
const Way socks{.name = "SOCKS5",
                .stage = Stage::proxy,
                .proxy = "socks5",
                .asked = "\x05\x01\x00"s,
                .answer = "\x05\x00"s};

// Reads a question.
std::string read_question(RelayEnd& client, const Way& way) {
  std::string text;
  while (!text.ends_with(way.asked)) {
    const std::string c = client.receive_exactly(1);
    if (c.empty()) break;
    text += c;
  }
  return text;
}

enum class Fault { reset, end, stall, cut, slow, nonsense };

// The first connections have the fault, the later ones work.
class FaultyPeer : public AcceptingPeer {
 public:
  FaultyPeer(const Way& way, Fault fault, std::size_t bytes, std::uint16_t server)
      : AcceptingPeer([=](Socket& socket, std::size_t number) {
          serve(socket, way, number == 0 ? fault : Fault::slow, bytes, number == 0, server);
        }) {}

 private:
  static void serve(Socket& socket, const Way& way, Fault fault, std::size_t bytes, bool first,
                    std::uint16_t server) {
    RelayEnd client(socket.fd());
    const std::string question = read_question(client, way);
    std::string answer = way.answer;
    if (way.proxy.empty()) answer = upgrade_answer(question);
    switch (fault) {
      case Fault::reset:
        client.send(answer.substr(0, bytes));
        return socket.reset();
      case Fault::end:
      case Fault::cut:
        client.send(answer.substr(0, bytes));
        client.end();
        client.receive();  // the client's end
        return;
      case Fault::stall:
        client.send(answer.substr(0, bytes));
        client.receive();
        return;
      case Fault::nonsense:
        client.send("\x01\x02 nonsense\r\n\r\n");
        client.receive();
        return;
      case Fault::slow:
        break;
    }
    if (first) {
      for (const char c : answer) client.send({&c, 1});
    } else {
      client.send(answer);
    }
    if (way.proxy.empty()) {
      while (!client.receive().empty()) {
      }
      return;
    }
    if (way.proxy == "socks5") {
      const std::string request = client.receive_exactly(10);
      client.send("\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50"s);
    }
    relay_to(server, client);
  }
};

// Runs a client whose first attempt meets the fault. Returns its ends before it opened.
std::vector<End> ends_of(const Way& way, Fault fault, std::size_t bytes,
                         std::chrono::nanoseconds timeout, std::uint16_t server) {
  const FaultyPeer peer(way, fault, bytes, server);
  ClientOptions options{.dial = {.timeout = timeout}, .retry = quick()};
  std::string url = peer.url();
  if (!way.proxy.empty()) {
    options.dial.proxy = *Proxy::parse(way.proxy + "://" + peer.authority());
    url = "ws://127.0.0.1:" + std::to_string(server) + "/echo";
  }
  options.retry.again = [](const Ended& ended) { return ended.failures < 2 && !ended.close; };
  return ends_before_open(url, std::move(options));
}

void expect_one_failure(const Way& way, Fault fault, std::size_t bytes, std::uint16_t server,
                        std::chrono::nanoseconds timeout = 30s) {
  const auto ends = ends_of(way, fault, bytes, timeout, server);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].stage, way.stage) << ends[0].text;
  EXPECT_FALSE(ends[0].text.empty());
  EXPECT_FALSE(ends[0].was_open);
}

// Runs `attack` until nothing grows any more.
template <class F>
void without_leaks(F attack) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house, 100);
  std::uint64_t fired = attack(house.port());
  aftermath.take_level();  // pools and tables have grown
  fired += attack(house.port());
  aftermath.expect_fired(fired, "a failed attempt", 2);
  aftermath.expect_clean();
}

TEST(Faults, X37_ACutInEachStageIsOneFailure) {
  without_leaks([](std::uint16_t server) {
    std::uint64_t fired = 0;
    for (const Way& way : {upgrade, connect_to_proxy, socks}) {
      const std::size_t whole = way.proxy.empty() ? upgrade_answer("").size() : way.answer.size();
      for (std::size_t bytes = 0; bytes < whole; bytes += way.proxy.empty() ? 7 : 3) {
        for (const Fault fault : {Fault::cut, Fault::reset}) {
          SCOPED_TRACE(std::string(way.name) + " at " + std::to_string(bytes));
          expect_one_failure(way, fault, bytes, server);
          ++fired;
        }
      }
    }
    return fired;
  });
}

TEST(Faults, X37_AStageThatStallsEndsAtItsDeadline) {
  without_leaks([](std::uint16_t server) {
    std::uint64_t fired = 0;
    for (const Way& way : {upgrade, connect_to_proxy, socks}) {
      for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}}) {
        SCOPED_TRACE(way.name);
        const auto ends = ends_of(way, Fault::stall, bytes, 300ms, server);
        EXPECT_EQ(ends.size(), 1u);
        if (ends.empty()) return fired;
        EXPECT_EQ(ends[0].stage, way.stage) << ends[0].text;
        EXPECT_EQ(ends[0].code, Errc::handshake_timeout) << ends[0].text;
        ++fired;
      }
    }
    return fired;
  });
}

TEST(Faults, X37_NonsenseInEachStageIsOneFailure) {
  without_leaks([](std::uint16_t server) {
    for (const Way& way : {upgrade, connect_to_proxy, socks}) {
      SCOPED_TRACE(way.name);
      expect_one_failure(way, Fault::nonsense, 0, server);
    }
    return 3u;
  });
}

TEST(Faults, X37_AnAnswerByteByByteIsNoFailure) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  for (const Way& way : {upgrade, connect_to_proxy, socks}) {
    SCOPED_TRACE(way.name);
    EXPECT_TRUE(ends_of(way, Fault::slow, 0, 30s, house.port()).empty());
  }
}

// ---- the proxy's answer

struct Answer {
  const char* name;
  std::string answer;
  std::error_code code;
  bool transient;
};

TEST(Faults, X37_EachAnswerOfAProxyHasItsError) {
  std::string interim;
  for (int i = 0; i < 10'000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  const std::vector<Answer> table = {
      {"407 with a body",
       "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\nlogin",
       Errc::proxy_auth_required, false},
      {"407 of HTTP/1.0", "HTTP/1.0 407 No\r\nProxy-Authenticate: Digest x\r\n\r\nlogin",
       Errc::proxy_auth_required, false},
      {"403", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", Errc::proxy_refused, false},
      {"503", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Errc::proxy_refused, true},
      {"interim answers without end", interim, Errc::proxy_failed, true},
      {"a huge head", "HTTP/1.1 200 OK\r\nX: " + std::string(1 << 20, 'x'), Errc::proxy_failed,
       true},
      {"bytes behind", "HTTP/1.1 200 OK\r\n\r\nmore", Errc::proxy_failed, true},
  };
  for (const Answer& row : table) {
    SCOPED_TRACE(row.name);
    const AcceptingPeer proxy([&](Socket& socket, std::size_t) {
      RelayEnd client(socket.fd());
      client.receive_head();
      client.send(row.answer);
      client.end();
      client.receive();
    });
    Recorded recorded;
    ClientOptions options{.retry = Retry::never()};
    options.dial.proxy = *Proxy::parse("http://" + proxy.authority());
    recorded.client("ws://127.0.0.1:1/", std::move(options));
    recorded.connect();
    test::run(recorded.loop);
    ASSERT_EQ(recorded.ends.size(), 1u);
    EXPECT_EQ(recorded.ends[0].code, row.code) << recorded.ends[0].text;
    EXPECT_EQ(recorded.ends[0].transient, row.transient);
    EXPECT_EQ(recorded.ends[0].stage, Stage::proxy);
    EXPECT_EQ(proxy.accepted(), 1u);
  }
}

// ---- names and addresses

TEST(Faults, X37_ANameWithoutAnAddressIsLookedUpAgain) {
  const sys::Names names("nowhere.test", {}, 0);
  Recorded recorded(3);
  Client& client = recorded.client("ws://nowhere.test/", {.retry = quick()});
  recorded.connect();
  test::run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 3u);
  for (const End& end : recorded.ends) {
    EXPECT_EQ(end.stage, Stage::resolve);
    EXPECT_EQ(end.code, Errc::name_not_resolved) << end.text;
    EXPECT_TRUE(end.transient);
  }
  EXPECT_EQ(names.fired(), 3u);
  EXPECT_EQ(client.state(), ClientState::waiting);
}

// ---- the pace

// A server that accepts and closes at once. The time is a lower bound, so a busy machine passes.
TEST(Faults, X37_AServerThatClosesAtOnceIsNotHitBelowTheFloor) {
  const AcceptingPeer server([](Socket& socket, std::size_t) {
    socket.upgrade();
    socket.send(closing(1000));
    socket.shutdown_write();
    socket.receive_end();
  });
  constexpr std::size_t ends = 10;
  Recorded recorded(ends);
  recorded.client(server.url(), {.retry = quick()});
  recorded.connect();
  const auto began = std::chrono::steady_clock::now();
  test::run(recorded.loop);
  EXPECT_EQ(recorded.ends.size(), ends);
  EXPECT_EQ(server.accepted(), ends);
  EXPECT_GE(std::chrono::steady_clock::now() - began, (ends - 1) * 100ms);
}

}  // namespace
}  // namespace tern::test
