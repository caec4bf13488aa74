// A process that forks and has a bridge over NATS: libnats has threads, which a child does not get.
#include "tern/nats.h"

#include "nats/library.h"
#include "support/nats_peer.h"

#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

// Ends the process with 7 when a publication and a refusal came, or a state with the wanted text.
class EndingSink final : public tern::BridgeSink {
 public:
  explicit EndingSink(std::string_view wanted) : wanted_(wanted) {}
  void deliver(std::string_view, tern::Message, const tern::Origin&,
               std::optional<tern::Position>) noexcept override {
    if (++came_ == 2) ::_exit(7);
  }
  void refused(std::string_view) noexcept override {
    if (++came_ == 2) ::_exit(7);
  }
  void history(std::string_view, const tern::BridgeHistory&) noexcept override {}
  void state(tern::BridgeState, std::string_view why) noexcept override {
    if (!wanted_.empty()) ::_exit(why.find(wanted_) != why.npos ? 7 : 8);
  }
  void gap(std::string_view, tern::GapCause) noexcept override {}
  void log(tern::LogLevel, std::string_view) noexcept override {}

 private:
  std::string_view wanted_;
  std::atomic<int> came_{0};
};

// SIGALRM ends it if nothing happens.
[[noreturn]] void run_child(tern::nats::Bridge& bridge, std::string_view wanted) {
  ::alarm(20);
  EndingSink sink(wanted);
  if (!bridge.attach(sink, {})) ::_exit(9);
  bridge.interest("t", true);
  for (;;) ::pause();
}

int exit_code(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// listen() asks for the problem, and run() of the child attaches. It is the first test, because
// libnats starts once in a process.
TEST(NatsFork, AChildOfAProcessThatListensHearsAll) {
  tern::test::NatsPeer peer;
  tern::nats::Bridge bridge({.servers = {peer.url}});
  ASSERT_EQ(bridge.problem(), "");
  const pid_t child = ::fork();
  if (child == 0) run_child(bridge, {});
  peer.serve({"tern.t"});
  peer.say("MSG tern.t " + peer.sid("tern.t") + " 5\r\nhello\r\n");
  peer.say("-ERR 'Permissions Violation for Publish to \"tern.x\"'\r\n");
  EXPECT_EQ(exit_code(child), 7) << "-14: nothing came";
}

TEST(NatsFork, AChildOfAProcessThatStartedLibnatsSaysSo) {
  ASSERT_TRUE(tern::nats::open_library());
  tern::test::NatsPeer peer;
  tern::nats::Bridge bridge({.servers = {peer.url}});
  const pid_t child = ::fork();
  if (child == 0) run_child(bridge, "libnats was started before fork()");
  EXPECT_EQ(exit_code(child), 7) << "8: another text";
}

}  // namespace
