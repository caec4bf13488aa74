// The bridge over NATS without a broker: names, URLs, the header fields, options, and servers that
// do not answer. tests/interop/peers_nats.py has the broker.

#include "tern/nats.h"

#include "nats/envelope.h"
#include "nats/library.h"
#include "nats/server_url.h"
#include "nats/settings.h"
#include "nats/subject.h"

#include <condition_variable>
#include <csignal>
#include <gtest/gtest.h>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::nats::Bridge;
using tern::nats::Options;

// ---- subjects

struct SubjectCase {
  std::string_view prefix, topic, subject;
};

TEST(NatsSubject, EscapesOnlyWhatASubjectMayNotHave) {
  const std::vector<SubjectCase> cases = {
      {"tern.", "room.7", "tern.room.7"},
      {"tern.", "room", "tern.room"},
      {"a.b.", "c", "a.b.c"},
      {"", "room.7", "room.7"},
      {"tern.", "a b", "tern.a%20b"},
      {"tern.", "*", "tern.%2A"},
      {"tern.", "a.>", "tern.a.%3E"},
      {"tern.", "100%", "tern.100%25"},
      {"tern.", ".", "tern.%2E"},
      {"tern.", "..", "tern.%2E%2E"},
      {"tern.", ".a", "tern.%2Ea"},
      {"tern.", "a.", "tern.a%2E"},
      {"tern.", "a..b", "tern.a.%2Eb"},
      {"tern.", "a...b", "tern.a.%2E.b"},
      {"tern.", "Grüße", "tern.Grüße"},
      {"tern.", "$SYS.a", "tern.$SYS.a"},
      {"", "$SYS.a", "%24SYS.a"},
      {"", "_INBOX.a", "%5FINBOX.a"},
      {"", "_INBOXES", "_INBOXES"},
      {"tern.", "\x80\xff", "tern.\x80\xff"},
  };
  for (const auto& [prefix, topic, subject] : cases) {
    EXPECT_EQ(tern::nats::subject_of(prefix, topic), subject) << topic;
  }
}

// Whatever the topic is, the subject has the prefix, no empty token, and nothing that the protocol
// reads as something else. Topics of up to 4 of these bytes are all tried.
TEST(NatsSubject, NoTopicLeavesThePrefixOrSharesASubject) {
  constexpr std::string_view bytes = ".a %*>";
  std::vector<std::string> topics = {""};
  std::set<std::string> subjects;
  for (std::size_t i = 0; i < topics.size() && topics[i].size() < 4; ++i) {
    for (char c : bytes) topics.push_back(topics[i] + c);
  }
  topics.erase(topics.begin());
  for (const std::string& topic : topics) {
    const std::string subject = tern::nats::subject_of("p.", topic);
    EXPECT_TRUE(subject.starts_with("p.")) << topic;
    EXPECT_EQ(subject.find_first_of(" *>"), std::string::npos) << topic;
    EXPECT_EQ(subject.find(".."), std::string::npos) << topic;
    EXPECT_FALSE(subject.ends_with('.')) << topic;
    EXPECT_TRUE(subjects.insert(subject).second) << topic;
  }
}

TEST(NatsSubject, PrefixIsTokensWithADotBehindEach) {
  for (std::string_view good : {"", "tern.", "a.b.", "_x.", "Grüße."}) {
    EXPECT_EQ(tern::nats::prefix_problem(good), "") << good;
  }
  for (std::string_view bad :
       {"tern", ".", "a..", ".a.", "a b.", "a.*.", ">", "a.>.", "$SYS.", "a\n.", "a\r."}) {
    EXPECT_NE(tern::nats::prefix_problem(bad), "") << bad;
  }
}

// ---- URLs

struct UrlCase {
  std::string_view text, plain, user, password, token;
};

TEST(NatsServerUrl, HasHostPortAndDecodedCredentials) {
  const std::vector<UrlCase> cases = {
      {"nats://a", "nats://a:4222", "", "", ""},
      {"nats://a:1", "nats://a:1", "", "", ""},
      {"nats://a:65535/", "nats://a:65535", "", "", ""},
      {"tls://a.example", "tls://a.example:4222", "", "", ""},
      {"nats://127.0.0.1:4222", "nats://127.0.0.1:4222", "", "", ""},
      {"nats://[::1]:7", "nats://[::1]:7", "", "", ""},
      {"nats://[::1]", "nats://[::1]:4222", "", "", ""},
      {"nats://me:secret@a", "nats://a:4222", "me", "secret", ""},
      {"nats://me:@a", "nats://a:4222", "me", "", ""},
      {"nats://s3cr3t@a:5", "nats://a:5", "", "", "s3cr3t"},
      {"nats://m%40e:p%3A%2f%25@[::1]:7", "nats://[::1]:7", "m@e", "p:/%", ""},
      {"nats://me:a:b@a", "nats://a:4222", "me", "a:b", ""},
      {"nats://me:a@b@a", "nats://a:4222", "me", "a@b", ""},
  };
  for (const UrlCase& wanted : cases) {
    const auto url = tern::nats::parse_server_url(wanted.text);
    ASSERT_TRUE(url) << wanted.text << ": " << url.error().message();
    EXPECT_EQ(url->plain(), wanted.plain) << wanted.text;
    EXPECT_EQ(url->secure, wanted.text.starts_with("tls")) << wanted.text;
    EXPECT_EQ(url->user, wanted.user) << wanted.text;
    EXPECT_EQ(url->password, wanted.password) << wanted.text;
    EXPECT_EQ(url->token, wanted.token) << wanted.text;
  }
}

TEST(NatsServerUrl, RefusesWithoutRepeatingThePassword) {
  for (std::string_view bad : {"",
                               "a:4222",
                               "http://a",
                               "NATS://a",
                               "nats://",
                               "nats://:1",
                               "nats://a:",
                               "nats://a:0",
                               "nats://a:65536",
                               "nats://a:1x",
                               "nats://a:-1",
                               "nats://a/b",
                               "nats://a?x",
                               "nats://a#x",
                               "nats://[::1",
                               "nats://[a]:1",
                               "nats://[::1]x",
                               "nats://a b",
                               "nats://::1",
                               "nats://a\n",
                               "nats://me:secret%@a",
                               "nats://me:secret%4@a",
                               "nats://me:secret%zz@a",
                               "nats://:secret@a",
                               "nats://secret%@a",
                               "nats://me:secret@",
                               "nats://me:secret@a:x",
                               "nats://me:secret@a/b"}) {
    const auto url = tern::nats::parse_server_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().code(), tern::Errc::options_invalid) << bad;
    EXPECT_EQ(url.error().message().find("secret"), std::string::npos) << url.error().message();
  }
}

// ---- the header fields

TEST(NatsEnvelope, AnOriginComesBack) {
  for (const tern::Origin origin :
       {tern::Origin{0, 0}, tern::Origin{1, 0x1f}, tern::Origin{UINT64_MAX, UINT64_MAX}}) {
    const tern::nats::OriginText text(origin);
    EXPECT_EQ(tern::nats::parse_origin(text.c_str()), origin) << text.c_str();
  }
  EXPECT_STREQ(tern::nats::OriginText({0xabc, 31}).c_str(), "abc-1f");
}

TEST(NatsEnvelope, NothingElseIsAnOrigin) {
  for (std::string_view bad : {"", "-", "1", "1-", "-1", "1-2-3", "1-2 ", " 1-2", "g-1", "0x1-2",
                               "+1-2", "10000000000000000-1", "1--2"}) {
    EXPECT_FALSE(tern::nats::parse_origin(bad)) << bad;
  }
}

// libnats writes credentials into JSON as they are.
TEST(NatsSettings, CredentialsAreEscapedForJson) {
  EXPECT_EQ(tern::nats::json_escaped("a\"b\\c\nd\x1f/é"), "a\\\"b\\\\c\\u000ad\\u001f/é");
}

// ---- options that can never work

TEST(NatsBridge, DefaultOptionsHaveNoProblem) { EXPECT_EQ(Bridge().problem(), ""); }

TEST(NatsBridge, ProblemNamesTheOption) {
  const std::vector<std::pair<Options, std::string_view>> cases = {
      {{.servers = {}}, "servers"},
      {{.servers = {"nats://a", "b"}}, "servers: number 2"},
      {{.prefix = "tern"}, "prefix"},
      {{.credentials = {.user = "me"}}, "credentials"},
      {{.credentials = {.password = "secret"}}, "credentials"},
      {{.credentials = {.user = "me", .password = "secret", .token = "t"}}, "credentials"},
      {{.credentials = {.file = "/nowhere/at.creds"}}, "/nowhere/at.creds"},
      {{.tls = tern::TlsClient{.ca_file = "/nowhere/ca.pem"}}, "/nowhere/ca.pem"},
      {{.tls = tern::TlsClient{.ca_pem = "no certificate"}}, "tls: "},
      {{.tls = tern::TlsClient{.pinned_keys = {"x"}}}, "pinned_keys"},
      {{.tls = tern::TlsClient{.certificate = {.certificate = "/nowhere/c.pem"}}},
       "/nowhere/c.pem"},
  };
  for (const auto& [options, part] : cases) {
    const std::string problem = Bridge(options).problem();
    EXPECT_NE(problem.find(part), std::string::npos) << "'" << problem << "' without " << part;
    EXPECT_EQ(problem.find("secret"), std::string::npos) << problem;
  }
}

// ---- no broker

class Sink final : public tern::BridgeSink {
 public:
  void deliver(std::string_view, tern::Message, const tern::Origin&,
               std::optional<tern::Position>) noexcept override {}
  void history(std::string_view, const tern::BridgeHistory&) noexcept override {}
  void state(tern::BridgeState state, std::string_view why) noexcept override {
    const std::lock_guard lock(mutex_);
    state_ = state, why_ = why, ++changes_;
    changed_.notify_all();
  }
  void gap(std::string_view, tern::GapCause) noexcept override { ADD_FAILURE() << "a gap"; }
  void log(tern::LogLevel, std::string_view) noexcept override {}

  std::pair<tern::BridgeState, std::string> wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 60s, [&] { return changes_ > 0; }));
    return {state_, why_};
  }

 private:
  std::mutex mutex_{};
  std::condition_variable changed_{};
  tern::BridgeState state_{};
  std::string why_{};
  int changes_ = 0;
};

// A port on 127.0.0.1. With a backlog, connections are made, but no program accepts them or sends a
// byte.
class DeafPort {
 public:
  explicit DeafPort(bool listens) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    if (listens) {
      EXPECT_EQ(::listen(fd_, 8), 0);
    }
    url = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  DeafPort(const DeafPort&) = delete;
  ~DeafPort() { ::close(fd_); }

  std::string url;

 private:
  int fd_;
};

TEST(NatsBridge, AServerThatIsNotThereIsNamedWithoutThePassword) {
  const DeafPort port(false);
  Bridge bridge({.servers = {"nats://me:secret@" + port.url}});
  Sink sink;
  ASSERT_TRUE(bridge.attach(sink, {}));
  const auto [state, why] = sink.wait();
  EXPECT_EQ(state, tern::BridgeState::connecting);
  EXPECT_EQ(why, "nats://" + port.url + ": no server answers there");
  EXPECT_TRUE(bridge.publish("t", tern::SharedMessage("x"), {}));  // it waits
  bridge.detach(0s);
  EXPECT_EQ(bridge.publish("t", tern::SharedMessage("x"), {}), tern::PublishStatus::stopped);
}

// The attempt would go on for seconds. If detach() waited for it, CTest's time would not matter,
// but the order does: no state was told.
TEST(NatsBridge, DetachDoesNotWaitForAServerThatIsSilent) {
  for (const char* scheme : {"nats://", "tls://"}) {
    const DeafPort port(true);
    Bridge bridge({.servers = {scheme + port.url}});
    Sink sink;
    ASSERT_TRUE(bridge.attach(sink, {}));
    bridge.detach(0s);
  }
}

TEST(NatsBridge, LocalFirstNeedsTheEnvelope) {
  Bridge bridge({.envelope = tern::nats::Envelope::none});
  Sink sink;
  const auto attached = bridge.attach(sink, {.order = tern::Order::local_first});
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code(), tern::Errc::options_invalid);
}

// libnats sets SIGPIPE to "ignore" when it starts, and its threads would run the host's handlers.
TEST(NatsBridge, SignalsOfTheHostStayAsTheyWere) {
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &before), 0);
  ASSERT_TRUE(tern::nats::open_library());
  struct sigaction after = {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
  sigset_t mask;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
}

}  // namespace
