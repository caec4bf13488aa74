// The connection to NATS against a server that the test plays: the bytes of both directions, and
// moves to another server.

#include "tern/nats.h"

#include "bridge/link.h"
#include "nats/link.h"
#include "support/nats_peer.h"

#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::nats::Link;
using tern::test::NatsPeer;

// Events as lines.
class Recorder final : public tern::bridge::LinkEvents {
 public:
  void on_publication(std::string_view topic, tern::Message message, const tern::Origin& origin,
                      std::optional<tern::Position> position) noexcept override {
    std::string line = std::string(topic) + (message.is_text() ? " text " : " binary ") +
                       std::string(message.text());
    if (origin != tern::Origin()) {
      line += " from " + std::to_string(origin.server) + ' ' + std::to_string(origin.connection);
    }
    EXPECT_FALSE(position);
    add(line);
  }
  void on_history(std::string_view, const tern::BridgeHistory&) noexcept override {
    add("history");
  }
  void on_gap(std::string_view topic, tern::GapCause cause) noexcept override {
    add("gap " + std::string(topic) + ' ' + std::string(gap_cause_name(cause)));
  }
  void on_refused(std::string_view why) noexcept override { add("refused " + std::string(why)); }
  void on_alive() noexcept override {}
  void on_probe() noexcept override { add("probe"); }
  void log(tern::LogLevel, std::string_view line) noexcept override {
    add("log " + std::string(line));
  }

  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  void add(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

  std::mutex mutex_{};
  std::vector<std::string> lines_{};
};

class Linked : public testing::Test {
 protected:
  // Connects, while the peer answers in a thread of its own.
  void connect(Link& link, std::size_t server, NatsPeer& at) {
    std::thread serving([&] { at.serve({}); });
    const auto connected = link.connect(server, events);
    serving.join();
    ASSERT_TRUE(connected) << connected.error().message();
    ASSERT_TRUE(link.flush());
  }
  // Lets the link read until there are so many events, or it fails.
  tern::Result<void> poll_until(Link& link, std::size_t count) {
    for (int i = 0; i < 6000 && events.lines().size() < count; ++i) {
      if (auto polled = link.poll(-1, 10ms); !polled) return polled;
    }
    return {};
  }

  NatsPeer peer{};
  Recorder events{};
};

using NatsLink = Linked;

TEST_F(NatsLink, PublicationsAreRawAndHaveAHeaderOnlyIfItIsNeeded) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  const auto publish = [&](tern::Message message, const tern::Origin& origin) {
    ASSERT_TRUE(link.publish("a b", tern::SharedMessage(message), origin));
    ASSERT_TRUE(link.flush());
  };
  publish("text", {7, 0});
  EXPECT_EQ(peer.wait_line("PUB"), "PUB tern.a%20b 4");
  EXPECT_EQ(peer.wait_line(""), "text");
  publish("mine", {0xabc, 31});
  EXPECT_EQ(peer.wait_line("HPUB"), "HPUB tern.a%20b 33 37");
  EXPECT_EQ(peer.wait_line("Tern"), "Tern-Origin: abc-1f");
  publish({tern::MessageType::binary, std::string_view("bytes")}, {7, 0});
  EXPECT_EQ(peer.wait_line("HPUB"), "HPUB tern.a%20b 31 36");
  EXPECT_EQ(peer.wait_line("Tern"), "Tern-Type: binary");
}

TEST_F(NatsLink, PublicationsComeWithTypeAndOriginAndBadHeadersAreIgnored) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  const std::string_view topics[] = {"t"};
  ASSERT_TRUE(link.subscribe(topics));
  ASSERT_TRUE(link.flush());
  const std::string sub = peer.wait_line("SUB tern.t");
  const std::string sid = sub.substr(sub.rfind(' ') + 1);
  const auto with_header = [&](const std::string& fields, const std::string& payload) {
    const std::string header = "NATS/1.0\r\n" + fields + "\r\n";
    return "HMSG tern.t " + sid + ' ' + std::to_string(header.size()) + ' ' +
           std::to_string(header.size() + payload.size()) + "\r\n" + header + payload + "\r\n";
  };
  peer.say("MSG tern.t " + sid + " 5\r\nhello\r\n");
  peer.say("MSG tern.t " + sid + " 0\r\n\r\n");
  peer.say(with_header("Tern-Origin: a-1f\r\n", "x"));
  peer.say(with_header("Tern-Type: binary\r\n", "y"));
  peer.say(with_header("Tern-Origin: not-one\r\nTern-Type: other\r\n", "z"));
  ASSERT_TRUE(poll_until(link, 5));
  EXPECT_EQ(events.lines(),
            (std::vector<std::string>{"t text hello", "t text ", "t text x from 10 31",
                                      "t binary y", "t text z"}));
  ASSERT_TRUE(link.unsubscribe(topics));
  ASSERT_TRUE(link.flush());
  EXPECT_TRUE(peer.wait_line("UNSUB").starts_with("UNSUB " + sid));
}

TEST_F(NatsLink, AProbeComesBackOverASubjectOfItsOwn) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  const std::string sub = peer.wait_line("SUB tern._probe.");
  const std::string sid = sub.substr(sub.rfind(' ') + 1);
  const std::string subject = sub.substr(4, sub.find(' ', 4) - 4);
  ASSERT_TRUE(link.probe());
  EXPECT_EQ(peer.wait_line("PUB"), "PUB " + subject + " 5");
  peer.say("MSG " + subject + ' ' + sid + " 5\r\nprobe\r\n");
  ASSERT_TRUE(poll_until(link, 1));
  EXPECT_EQ(events.lines(), std::vector<std::string>{"probe"});
}

TEST_F(NatsLink, APublicationOverMaxPayloadIsAGapAndNotTheEnd) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  const std::string large(1'048'577, 'x');
  ASSERT_TRUE(link.publish("t", tern::SharedMessage(large), {}));
  ASSERT_EQ(events.lines().size(), 2u);
  EXPECT_TRUE(events.lines().front().starts_with("refused max_payload ")) << events.lines().front();
  EXPECT_EQ(events.lines().back(), "gap t lost");
  ASSERT_TRUE(link.publish("t", tern::SharedMessage("after"), {}));
  ASSERT_TRUE(link.flush());
  EXPECT_EQ(peer.wait_line("PUB tern.t"), "PUB tern.t 5");
}

TEST_F(NatsLink, APublicationWithoutTheRightIsTold) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(link.publish("t", tern::SharedMessage("x"), {}));
    ASSERT_TRUE(link.flush());
    peer.wait_line("PUB tern.t");
    peer.say("-ERR 'Permissions Violation for Publish to \"tern.t\"'\r\n");
  }
  ASSERT_TRUE(poll_until(link, 2));
  const std::string line = "refused Permissions Violation for Publish to \"tern.t\"";
  EXPECT_EQ(events.lines(), (std::vector<std::string>{line, line}));
}

// libnats writes them into JSON as they are.
TEST_F(NatsLink, CredentialsOfTheUrlAreDecodedAndEscaped) {
  Link link({.servers = {"nats://m%22e:p%5Cw@" + peer.url.substr(7)}});
  connect(link, 0, peer);
  const std::string login = peer.wait_line("CONNECT");
  EXPECT_NE(login.find(R"("user":"m\"e","pass":"p\\w")"), std::string::npos) << login;
  EXPECT_EQ(link.server_name(0), peer.url);
}

TEST_F(NatsLink, LameDuckFailsThePollIfThereIsAnotherServer) {
  NatsPeer second;
  peer.more_info = ",\"connect_urls\":[\"" + second.url.substr(7) + "\"]";
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  ASSERT_EQ(link.servers(), 2u);  // it was told of the other one
  EXPECT_EQ(link.server_name(1), second.url);
  peer.say(
      "INFO "
      "{\"server_id\":\"x\",\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"ldm\":true}"
      "\r\n");
  const auto polled = poll_until(link, 1);
  ASSERT_FALSE(polled);
  EXPECT_NE(polled.error().message().find("lame duck"), std::string::npos);
  link.close();
  connect(link, 1, second);
}

TEST_F(NatsLink, TheEndOfTheConnectionFailsThePoll) {
  Link link({.servers = {peer.url}});
  connect(link, 0, peer);
  peer.hang_up();
  EXPECT_FALSE(poll_until(link, 1));
  link.close();
  connect(link, 0, peer);
}

}  // namespace
