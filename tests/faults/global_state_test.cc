// Linking and running tern changes nothing that belongs to the whole process: signal dispositions
// and masks, limits, umask, locale, environment, working directory, floating point, handlers of the
// C++ run-time, timers, random numbers of the C library, threads, descriptors. The test takes a
// snapshot before main (in a constructor that runs before those of every object file of tern), in
// main, and after a server and two kinds of clients have run. It also checks that the library
// contains no function that runs by being linked.
#include "tern/tern.h"

#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "support/process.h"

#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <gtest/gtest.h>
#include <locale>
#include <map>
#include <new>
#include <openssl/err.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace tern::test {
namespace {

using Snapshot = std::map<std::string, std::string>;

template <class T>
std::string bytes_of(const T& value) {
  std::string result;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    result += std::to_string(reinterpret_cast<const unsigned char*>(&value)[i]) + ' ';
  }
  return result;
}

void add_signals(Snapshot& now) {
  for (int signo = 1; signo < NSIG; ++signo) {
    struct sigaction action {};
    if (::sigaction(signo, nullptr, &action) != 0) continue;
    now["disposition of " + std::to_string(signo)] =
        std::to_string(reinterpret_cast<std::uintptr_t>(action.sa_handler)) + ' ' +
        std::to_string(action.sa_flags);
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (int signo = 1; signo < NSIG; ++signo) {
    now["mask"] += ::sigismember(&mask, signo) == 1 ? '1' : '0';
  }
  stack_t stack{};
  ::sigaltstack(nullptr, &stack);
  now["alternate signal stack"] =
      std::to_string(stack.ss_flags) + ' ' + std::to_string(stack.ss_size);
}

void add_process(Snapshot& now) {
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit{};
    ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    now["limit " + std::to_string(resource)] =
        std::to_string(limit.rlim_cur) + " of " + std::to_string(limit.rlim_max);
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (const char* key : {"Umask:", "Threads:", "Seccomp:", "NoNewPrivs:", "CoreDumping:",
                            "Cpus_allowed:", "Groups:", "Uid:", "Gid:", "TracerPid:"}) {
      if (line.starts_with(key)) now[key] = line;
    }
  }
  for (char** entry = environ; *entry != nullptr; ++entry)
    now["environment"] += *entry + std::string("\n");
  now["environment at"] = std::to_string(reinterpret_cast<std::uintptr_t>(environ));
  char directory[4096];
  now["directory"] = ::getcwd(directory, sizeof directory) != nullptr ? directory : "";
  now["descriptors"] = std::to_string(descriptors_of(::getpid()));
  now["priority"] = std::to_string(::getpriority(PRIO_PROCESS, 0));
  now["scheduler"] = std::to_string(::sched_getscheduler(0));
  now["session"] = std::to_string(::getsid(0)) + ' ' + std::to_string(::getpgrp());
  char name[17] = {};
  ::prctl(PR_GET_NAME, name);
  now["name"] = name;
  now["dumpable"] = std::to_string(::prctl(PR_GET_DUMPABLE));
  now["parent's death"] = [] {
    int signo = 0;
    ::prctl(PR_GET_PDEATHSIG, &signo);
    return std::to_string(signo);
  }();
  for (const __itimer_which which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval timer{};
    ::getitimer(which, &timer);
    now["interval timer"] += bytes_of(timer.it_interval);
  }
}

void add_runtime(Snapshot& now) {
  now["locale"] = std::setlocale(LC_ALL, nullptr);
  now["C++ locale"] = std::locale().name();
  now["rounding"] = std::to_string(std::fegetround());
  now["floating point"] = [] {
    std::fenv_t environment{};
    std::fegetenv(&environment);
    std::feclearexcept(FE_ALL_EXCEPT);
    std::fesetenv(&environment);
    return std::to_string(environment.__control_word) + ' ' +
           std::to_string(environment.__mxcsr & ~0x3Fu);
  }();
  now["terminate"] = std::to_string(reinterpret_cast<std::uintptr_t>(std::get_terminate()));
  now["new handler"] = std::to_string(reinterpret_cast<std::uintptr_t>(std::get_new_handler()));
  now["time zone"] = std::to_string(::timezone);
  now["OpenSSL's errors"] = std::to_string(ERR_peek_error());
}

Snapshot snapshot() {
  Snapshot now;
  add_signals(now);
  add_process(now);
  add_runtime(now);
  return now;
}

// A pointer, because a snapshot is taken before the constructors of objects run. It is never
// destroyed.
Snapshot* before_main = nullptr;
__attribute__((constructor(101))) void look_before_main() {
  before_main = new Snapshot(snapshot());
}

// Returns the differences, one in each line. The key `but` is skipped.
std::string differences(const Snapshot& before, const Snapshot& after,
                        const std::string& but = {}) {
  std::string text;
  for (const auto& [key, value] : after) {
    const auto found = before.find(key);
    const std::string old = found == before.end() ? "(absent)" : found->second;
    if (key != but && old != value) text += key + ": " + old + " became " + value + '\n';
  }
  return text;
}

// It must be the first test, because the others change the state that it compares.
TEST(Faults, GlobalState_LinkingRunsNothing) {
  ASSERT_NE(before_main, nullptr);
  EXPECT_EQ(differences(*before_main, snapshot()), "");
  if (sanitized) return;  // then the sanitizer adds a constructor to each object file
  Process readelf({"readelf", "-SW", TERN_BIN_DIR "/../lib/libtern.a"});
  ASSERT_EQ(readelf.exit_code(), 0) << readelf.err();
  EXPECT_NE(readelf.out().find("live_connection.cc.o"), std::string::npos);
  for (const char* section : {".init_array", ".preinit_array", ".ctors", ".fini_array"}) {
    EXPECT_EQ(readelf.out().find(section), std::string::npos) << section;
  }
}

TEST(Faults, GlobalState_ASnapshotSeesEachChange) {
  const Snapshot before = snapshot();
  EXPECT_EQ(differences(before, snapshot()), "");
  struct sigaction ignore {};
  struct sigaction old {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &old);
  EXPECT_NE(differences(before, snapshot()), "");
  ::sigaction(SIGPIPE, &old, nullptr);
  ::setenv("TERN_TEST_CHANGES", "1", 1);
  EXPECT_NE(differences(before, snapshot()), "");
  ::unsetenv("TERN_TEST_CHANGES");
  const mode_t mask = ::umask(0123);
  EXPECT_NE(differences(before, snapshot()), "");
  ::umask(mask);
  std::thread([&] { EXPECT_NE(differences(before, snapshot()), ""); }).join();
}

// Runs a server with two workers and a signal that stops it, a blocking client, and connections
// that end in several ways.
void run_all_of_it() {
  RunningServer running({.threads = 2, .stop_on = {SIGUSR2}});
  running.server.route("/echo", echo());
  running.server.get("/", [](const Request&) { return Response::text("page"); });
  running.start();
  const std::string url = "ws://localhost:" + std::to_string(running.server.port()) + "/echo";
  std::string payload;
  for (int i = 0; i < 20; ++i) {
    auto dialed = dial(url);
    ASSERT_TRUE(dialed) << dialed.error().message();
    EXPECT_TRUE(dialed->send("Hello"));
    EXPECT_TRUE(dialed->receive(payload));
    if (i % 2 == 0) {
      EXPECT_TRUE(dialed->close());
    } else {
      dialed->terminate();
    }
  }
  EXPECT_FALSE(dial("ws://127.0.0.1:1/refused"));
  EXPECT_FALSE(dial("no url"));
  Loop loop;
  loop.after(std::chrono::milliseconds(1), [&] { loop.stop(); });
  EXPECT_TRUE(loop.run());
  running.stop();
  EXPECT_GE(running.server.counters().upgrades, 20u) << "nothing ran";
}

TEST(Faults, GlobalState_RunningChangesNothing) {
  // run() blocks SIGUSR2 only in its own threads, and only while it runs.
  const Snapshot before = snapshot();
  run_all_of_it();
  // The thread that resolved a name ends a little after it has delivered the result.
  EXPECT_TRUE(eventually([&] { return differences(before, snapshot()).empty(); }))
      << differences(before, snapshot());
}

// The program may use rand(). Its sequence must not depend on tern.
TEST(Faults, GlobalState_TheSequenceOfRandIsUnchanged) {
  std::srand(42);
  std::string expected;
  for (int i = 0; i < 16; ++i) expected += std::to_string(std::rand()) + ' ';
  std::srand(42);
  run_all_of_it();
  std::string now;
  for (int i = 0; i < 16; ++i) now += std::to_string(std::rand()) + ' ';
  EXPECT_EQ(now, expected);
}

}  // namespace
}  // namespace tern::test
