// A stop, calls of other threads and destruction in each stage of an attempt (the table of
// support/stalled_attempt.h), for dial() and for a Client on a loop. Also a slow look-up and an
// empty one.
#include "tern/client.h"
#include "tern/dial.h"

#include "support/recorded_client.h"
#include "support/running_server.h"
#include "support/stalled_attempt.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

extern "C" {
int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);  // NOLINT
int __real_connect(int, const sockaddr*, socklen_t);                            // NOLINT

int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,  // NOLINT
                       addrinfo** result) {
  const std::string_view name = host;
  if (name == "empty.invalid") {
    *result = nullptr;
    return 0;
  }
  if (name == "held.invalid") {
    const int round = tern::test::lookup_round;
    tern::test::reach_stage();
    tern::test::lookup_round.wait(round);
    if (tern::test::held_is_found) return __real_getaddrinfo("127.0.0.1", service, hints, result);
  }
  return EAI_NONAME;
}

int __wrap_connect(int fd, const sockaddr* name, socklen_t size) {  // NOLINT
  const int result = __real_connect(fd, name, size);
  const std::uint16_t watched = tern::test::tcp_to;
  if (watched != 0 && name->sa_family == AF_INET &&
      reinterpret_cast<const sockaddr_in*>(name)->sin_port == htons(watched)) {
    tern::test::reach_stage();
  }
  return result;
}
}

namespace tern::test {
namespace {

using namespace std::chrono_literals;

std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Runs `body` for each stage. Afterwards no descriptor is left.
template <class F>
void in_each_stage(F body) {
  for (const StalledStage& stage : stalled_stages) {
    SCOPED_TRACE(stage.name);
    const std::size_t before = descriptors();
    {
      Stall stall;
      stage.build(stall);
      body(stage, stall);
    }
    EXPECT_EQ(descriptors(), before);
  }
}

// ---- dial()

TEST(ClientStages, AStopEndsADialInEachStage) {
  in_each_stage([](const StalledStage& stage, Stall& stall) {
    if (stage.text == nullptr) return;
    std::stop_source source;
    stall.dial.stop = source.get_token();
    stall.dial.timeout = 1h;
    const std::jthread stopper([&] {
      wait_for_stage();
      source.request_stop();
    });
    const auto dialed = dial(stall.url, stall.dial);
    ASSERT_FALSE(dialed);
    EXPECT_EQ(dialed.error().code(), Errc::stopped);
    EXPECT_TRUE(dialed.error().message().starts_with(stage.text)) << dialed.error().message();
  });
}

// ---- a client on a loop

enum class Deed {
  token,     // requests a stop by the token of the options
  stop,      // stop() of another thread
  calls,     // each function that another thread may call
  destroy,   // the destructor, in a function of the loop
  other,     // the destructor, in on_ended of another client
  hook,      // the destructor, in LoopOptions::on_exception
  end_loop,  // the loop ends first
};

// A client whose attempt comes to a stage, and one deed of another thread then.
class Stopped {
 public:
  Stopped(const StalledStage& stage, Stall& stall, Deed deed, bool keeps)
      : stage_(stage), stall_(stall), deed_(deed), keeps_(keeps) {}

  void run() {
    start();
    {
      const std::jthread other([this] {
        wait_for_stage();
        act();
      });
      test::run(*loop_);
    }
    if (deed_ == Deed::end_loop) loop_.reset();
    destroyed_ ? expect_silence() : expect_stopped();
  }

 private:
  void start() {
    ClientOptions options{.dial = stall_.dial, .retry = quick()};
    options.dial.stop = source_.get_token();
    options.dial.timeout = 1h;
    if (stall_.waits) options.retry = {.first = 24h, .most = 24h};
    if (keeps_) options.outbox = Outbox{};
    if (stall_.asks) {
      options.before_attempt = [this](Attempt attempt) {
        stall_.attempts.push_back(std::move(attempt));
        reach_stage();
      };
    }
    options.on_ended = [this](const Ended& ended) { on_ended(ended); };
    LoopOptions of_loop;
    of_loop.on_exception = [this](std::string_view) { destroy(); };
    loop_ = std::make_unique<Loop>(std::move(of_loop));
    client_.emplace(*loop_, stall_.url, std::move(options));
    EXPECT_EQ(client_->state(), ClientState::idle);
    ASSERT_TRUE(client_->connect({.on_open = [](Connection&) { ADD_FAILURE() << "it opened"; },
                                  .on_message = [](Connection&, Message) {}}));
  }

  void on_ended(const Ended& ended) {
    EXPECT_FALSE(destroyed_) << "on_ended after the destructor";
    ASSERT_NE(ended.failure, nullptr);
    if (ended.wait && stall_.waits) return reach_stage();
    stages_.push_back(ended.stage);
    EXPECT_EQ(ended.failure->code(), Errc::stopped) << ended.failure->message();
    EXPECT_FALSE(ended.wait);
    if (deed_ != Deed::end_loop) loop_->stop();
  }

  void act() {
    switch (deed_) {
      case Deed::token:
        source_.request_stop();
        return;
      case Deed::stop:
        EXPECT_TRUE(client_->stop());
        return;
      case Deed::calls:
        EXPECT_EQ(client_->state(), stall_.waits ? ClientState::waiting : ClientState::connecting);
        EXPECT_EQ(client_->send("x"), keeps_ ? SendStatus::queued : SendStatus::closed);
        EXPECT_FALSE(client_->handle().send("x"));
        EXPECT_TRUE(client_->stop());
        EXPECT_TRUE(client_->stop());
        return;
      case Deed::destroy:
        EXPECT_TRUE(loop_->post([this] { destroy(); }));
        return;
      case Deed::other:
        EXPECT_TRUE(loop_->post([this] {
          ClientOptions options{.retry = Retry::never()};
          options.on_ended = [this](const Ended&) { destroy(); };
          other_.emplace(*loop_, refused_.url(), std::move(options));
          EXPECT_TRUE(other_->connect({.on_message = [](Connection&, Message) {}}));
        }));
        return;
      case Deed::hook:
        EXPECT_TRUE(loop_->post([] { throw std::runtime_error("on purpose"); }));
        return;
      case Deed::end_loop:
        loop_->stop();
        return;
    }
  }

  // Afterwards the loop goes on for some turns, in which late answers arrive.
  void destroy() {
    destroyed_ = true;
    client_.reset();
    stall_.release();
    stop_after(5);
  }
  void stop_after(int turns) {
    loop_->post([this, turns] { turns > 0 ? stop_after(turns - 1) : loop_->stop(); });
  }

  void expect_silence() { EXPECT_TRUE(stages_.empty()) << "the destructor reports no end"; }
  void expect_stopped() {
    EXPECT_EQ(stages_, std::vector<Stage>{stage_.stage});
    EXPECT_EQ(client_->state(), ClientState::stopped);
    EXPECT_EQ(client_->send("late"), SendStatus::closed);
    EXPECT_FALSE(client_->next_attempt());
    EXPECT_FALSE(client_->error());
    EXPECT_EQ(client_->dropped(), deed_ == Deed::calls && keeps_ ? 1u : 0u);
  }

  const StalledStage& stage_;
  Stall& stall_;
  const Deed deed_;
  const bool keeps_;
  const RefusedPort refused_{};
  std::stop_source source_{};
  std::unique_ptr<Loop> loop_{};
  std::optional<Client> client_{};
  std::optional<Client> other_{};
  bool destroyed_ = false;
  std::vector<Stage> stages_{};
};

void do_in_each_stage(Deed deed, bool keeps = false) {
  in_each_stage(
      [&](const StalledStage& stage, Stall& stall) { Stopped(stage, stall, deed, keeps).run(); });
}

TEST(ClientStages, AStopTokenEndsEachStage) { do_in_each_stage(Deed::token); }
TEST(ClientStages, AStopOfAnotherThreadEndsEachStage) { do_in_each_stage(Deed::stop); }
TEST(ClientStages, OtherThreadsMayCallInEachStage) { do_in_each_stage(Deed::calls); }
TEST(ClientStages, OtherThreadsMaySendIntoTheOutboxInEachStage) {
  do_in_each_stage(Deed::calls, true);
}
TEST(ClientStages, AClientMayBeDestroyedInEachStage) { do_in_each_stage(Deed::destroy); }
TEST(ClientStages, AClientMayBeDestroyedInACallbackOfAnotherClient) {
  do_in_each_stage(Deed::other);
}
TEST(ClientStages, AClientMayBeDestroyedInOnException) { do_in_each_stage(Deed::hook); }
TEST(ClientStages, ALoopMayEndInEachStage) { do_in_each_stage(Deed::end_loop); }

// An open connection, for which the table has no row.
TEST(ClientStages, AnOpenClientMayBeDestroyedByOthers) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = url_of(served.start());
  for (const bool in_on_exception : {false, true}) {
    std::optional<Client> client;
    std::optional<Client> other;
    bool closed = false;
    LoopOptions of_loop;
    of_loop.on_exception = [&](std::string_view) { client.reset(); };
    Loop loop(std::move(of_loop));
    client.emplace(loop, url);
    ASSERT_TRUE(client->connect({.on_open =
                                     [&](Connection&) {
                                       if (in_on_exception) {
                                         loop.after({}, [] { throw std::runtime_error("x"); });
                                         return;
                                       }
                                       other.emplace(loop, url);
                                       ASSERT_TRUE(other->connect(
                                           {.on_open = [&](Connection&) { client.reset(); },
                                            .on_message = [](Connection&, Message) {}}));
                                     },
                                 .on_message = [](Connection&, Message) {},
                                 .on_close =
                                     [&](Connection&, const CloseInfo& info) {
                                       EXPECT_TRUE(info.opened);
                                       closed = true;
                                       loop.stop();
                                     }}));
    run(loop);
    EXPECT_TRUE(closed);
    EXPECT_FALSE(client);
  }
}

// Threads call while the client goes through all its states. The thread sanitizer looks on.
TEST(ClientStages, OtherThreadsCallWhileTheClientReconnects) {
  RunningServer served;
  served.server.route("/", {.on_open = [](Connection& conn) { conn.close(); },
                            .on_message = [](Connection&, Message) {}});
  Recorded recorded(99);
  Client& client = recorded.client(url_of(served.start()), {.retry = quick(), .outbox = Outbox{}});
  recorded.connect();
  recorded.on_end = [&](const Ended& ended) {
    if (!ended.wait) return;
    recorded.ends.size() < 20 ? client.reconnect() : void(client.stop());
  };
  std::atomic<bool> over = false;
  const auto call = [&] {
    while (!over) {
      const ClientState state = client.state();
      client.send("x");
      client.handle().send("y");
      if (state == ClientState::stopped) {
        EXPECT_EQ(client.send("z"), SendStatus::closed);
      }
      std::this_thread::yield();
    }
    EXPECT_EQ(client.state(), ClientState::stopped);
  };
  const std::jthread one(call);
  const std::jthread two(call);
  run(recorded.loop);
  over = true;
  EXPECT_EQ(recorded.ends.size(), 21u);
}

// ---- look-ups

TEST(ClientStages, ASlowLookupEndsAtTheDeadline) {
  Stall stall;  // its destructor ends the look-up
  const auto dialed = dial("ws://held.invalid/", {.timeout = 50ms});
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().code(), Errc::handshake_timeout);
  Recorded recorded;
  recorded.client("ws://held.invalid/", {.dial = {.timeout = 50ms}, .retry = Retry::never()});
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::handshake_timeout);
  EXPECT_EQ(recorded.ends[0].stage, Stage::resolve);
  EXPECT_EQ(recorded.ends[0].text, dialed.error().message());
}

TEST(ClientStages, ASlowLookupIsWaitedFor) {
  RunningServer served;
  served.server.route("/", echo());
  const std::string url = "ws://held.invalid:" + std::to_string(served.start()) + '/';
  const auto answer_late = [] {
    return std::jthread([] {
      wait_for_stage();
      end_lookups(true);
    });
  };
  {
    const Stall stall;
    const std::jthread answers = answer_late();
    EXPECT_TRUE(dial(url));
  }
  const Stall stall;
  const std::jthread answers = answer_late();
  Recorded recorded;
  Client& client = recorded.client(url, {.retry = Retry::never()});
  ASSERT_TRUE(client.connect({.on_open = [](Connection& conn) { conn.close(); },
                              .on_message = [](Connection&, Message) {}}));
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_TRUE(recorded.ends[0].was_open) << recorded.ends[0].text;
}

TEST(ClientStages, ALookupWithoutAnAddressIsAFailure) {
  const auto dialed = dial("ws://empty.invalid/");
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().code(), Errc::name_not_resolved);
  EXPECT_TRUE(is_transient(dialed.error()));
  Recorded recorded;
  recorded.client("ws://empty.invalid/", {.retry = Retry::never()});
  recorded.connect();
  run(recorded.loop);
  ASSERT_EQ(recorded.ends.size(), 1u);
  EXPECT_EQ(recorded.ends[0].code, Errc::name_not_resolved);
  EXPECT_EQ(recorded.ends[0].stage, Stage::resolve);
  EXPECT_TRUE(recorded.ends[0].transient);
}

}  // namespace
}  // namespace tern::test
