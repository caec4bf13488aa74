// The server has a core of its own. The attacker is another process at the lowest priority, and the
// bystander is this process, so that only the server makes the bystander wait. With a third core
// each of them has its own. Each row starts the server anew. Its memory is the maximum that it ever
// held.
#include "throughput/fairness.h"

#include "throughput/attacker.h"
#include "throughput/attacks.h"
#include "throughput/bystander.h"
#include "throughput/certificate.h"
#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/progress.h"
#include "throughput/server_process.h"
#include "throughput/system.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::chrono::milliseconds head_start{300};  // of the attack before the measurement
constexpr double mebibyte = 1 << 20;

struct Contestant {
  std::string name;
  std::vector<std::string> command;
  bool has_pages = false;
  bool has_files = false;
  bool has_deflate = false;
  bool has_tls = false;
};

bool can(const Contestant& contestant, Needs needs) noexcept {
  switch (needs) {
    case Needs::nothing:
      return true;
    case Needs::pages:
      return contestant.has_pages;
    case Needs::files:
      return contestant.has_files;
    case Needs::deflate:
      return contestant.has_deflate;
    case Needs::tls:
      return contestant.has_tls;
  }
  return false;
}

// tern with its defaults, the bare echo, which has no limits, and uWebSockets if it is beside this
// program.
std::vector<Contestant> contestants(const CompareOptions& options) {
  std::vector<Contestant> all;
  for (std::size_t i = 0; i < options.servers.size(); ++i) {
    all.push_back({.name = i == 0 ? "tern" : "tern #" + std::to_string(i + 1),
                   .command = {options.servers[i], "--port", "0"},
                   .has_pages = true,
                   .has_files = i == 0,  // by tern_pages, which is beside this program
                   .has_deflate = true,
                   .has_tls = true});
  }
  all.push_back(
      {.name = "bare echo",
       .command = {beside_this_program("tern-bench"), "ceiling", "--bare", "--port", "0"}});
  const std::string rival = beside_this_program("uwebsockets_echo");
  if (options.rivals && std::filesystem::exists(rival)) {
    all.push_back({.name = "uWS",
                   .command = {rival, "--port", "0", "--max-message", "1048576"},
                   .has_deflate = true,
                   .has_tls = true});
  }
  return all;
}

struct Row {
  Wait wait{};
  double resident = 0;      // MiB
  double sent = 0;          // MB/s of the attack
  std::uint64_t ended = 0;  // connections of the attack
  std::string left_out{};   // the reason if it was left out, else empty
};

// tern_pages prints the URL of its pages.
std::string echo_url(const std::string& url) {
  constexpr std::string_view http = "http://";
  return url.starts_with(http) ? "ws://" + url.substr(http.size()) + "/echo" : url;
}

// The files that the attacks request. The large one takes no room on the disk.
class Files {
 public:
  Files() {
    std::string name = std::filesystem::temp_directory_path() / "tern-fairness-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw_errno("mkdtemp");
    path_ = name;
    make("64k", std::size_t{64} << 10);
    make("large", std::size_t{1} << 30);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_.string(); }

 private:
  void make(const char* name, std::size_t size) const {
    std::ofstream(path_ / name).flush();
    std::filesystem::resize_file(path_ / name, size);
  }

  std::filesystem::path path_{};
};

double ms(std::chrono::nanoseconds time) noexcept {
  return std::chrono::duration<double, std::milli>(time).count();
}

class Fairness {
 public:
  explicit Fairness(const CompareOptions& options) : options_(options) {
    if (!pin_to_core(client_core + 1) && !pin_to_core(client_core)) {
      std::fputs("there is only one core, so the figures mean little\n", stderr);
      attack_core_ = any_core;
    }
  }

  void run() {
    print_head();
    for (const Attack& attack : attacks()) {
      if (!is_wanted(attack.name, options_)) continue;
      for (const Contestant& contestant : contestants(options_)) {
        progress_.show(std::string(attack.name) + ", " + contestant.name);
        const Row row = measure(attack, contestant);
        progress_.wipe();
        print(attack, contestant, row);
      }
    }
  }

 private:
  Row measure(const Attack& attack, const Contestant& contestant) {
    const Needs needs = needs_of(attack.kind);
    Row row;
    if (!can(contestant, needs)) {
      row.left_out = needs == Needs::pages     ? "it has no pages"
                     : needs == Needs::files   ? "it has no bodies, files and streams"
                     : needs == Needs::deflate ? "it has no compression"
                                               : "it has no TLS";
      return row;
    }
    std::vector<std::string> command = contestant.command;
    if (needs == Needs::files) command = {beside_this_program("tern_pages"), folder_.path()};
    if (needs == Needs::deflate) command.insert(command.end(), {"--deflate-level", "1"});
    if (needs == Needs::tls) {
      command.insert(command.end(),
                     {"--cert", certificate_.certificate(), "--key", certificate_.key()});
    }
    try {
      measure(attack, command, row);
    } catch (const std::exception& error) {
      row.left_out = error.what();
    }
    return row;
  }

  void measure(const Attack& attack, const std::vector<std::string>& command, Row& row) const {
    const ServerProcess server(command, server_core, false);
    const std::string url = echo_url(server.url());
    Bystander bystander(Target::parse(url));
    std::optional<Attacker> attacker;
    if (attack.senders > 0) attacker.emplace(attack, url, attack_core_);
    std::this_thread::sleep_for(head_start);
    const std::uint64_t before = attacker ? attacker->sent() : 0;
    const auto began = Clock::now();
    row.wait = bystander.watch(options_.duration);
    const double seconds = Seconds(Clock::now() - began).count();
    if (attacker) {
      row.sent = static_cast<double>(attacker->sent() - before) / seconds / 1e6;
      row.ended = attacker->ended();
    }
    row.resident = static_cast<double>(peak_resident_bytes(server.pid())) / mebibyte;
  }

  void print_head() const {
    if (options_.json) return;
    std::printf(
        "A bystander sends 64 B every 2 ms for %.1f s and waits for the echo, while others "
        "attack.\n",
        options_.duration.count());
    std::puts(
        "ms until the echo; the maximum of the server's memory; the rate at which the attack "
        "could\n"
        "send meanwhile; the number of its connections that the server ended.");
    std::printf("%-24s %-10s %9s %9s %9s %9s %9s %6s\n", "attack", "server", "p50 ms", "p99 ms",
                "max ms", "MiB", "MB/s", "ended");
  }

  void print(const Attack& attack, const Contestant& contestant, const Row& row) const {
    const std::string name(attack.name);
    const LatencySummary& latency = row.wait.latency;
    const auto ended = static_cast<unsigned long long>(row.ended);
    if (!row.left_out.empty()) {
      std::printf(options_.json ? R"({"attack":"%s","server":"%s","left_out":"%s"})"
                                : "%-24s %-10s left out: %s",
                  name.c_str(), contestant.name.c_str(), row.left_out.c_str());
    } else if (options_.json) {
      std::printf(R"({"attack":"%s","server":"%s","answers":%llu,"starved":%s,"p50_ms":%.3f,)"
                  R"("p99_ms":%.3f,"max_ms":%.3f,"resident_mib":%.1f,"attack_mb_s":%.2f,)"
                  R"("ended":%llu})",
                  name.c_str(), contestant.name.c_str(),
                  static_cast<unsigned long long>(row.wait.answers),
                  row.wait.starved ? "true" : "false", ms(latency.p50), ms(latency.p99),
                  ms(latency.max), row.resident, row.sent, ended);
    } else {
      std::printf("%-24s %-10s %9.2f %9.2f %9.2f %9.1f %9.2f %6llu%s", name.c_str(),
                  contestant.name.c_str(), ms(latency.p50), ms(latency.p99), ms(latency.max),
                  row.resident, row.sent, ended, row.wait.starved ? "  starved" : "");
    }
    std::puts("");
    std::fflush(stdout);
  }

  const CompareOptions& options_;
  int attack_core_ = client_core;
  TemporaryCertificate certificate_{};
  Files folder_{};
  Progress progress_{};
};

}  // namespace

int run_fairness(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (options.servers.empty()) options.servers.push_back(beside_this_program("echo_server"));
  raise_descriptor_limit();
  // This is not real-time priority: the system takes 50 ms of each second from a real-time server
  // that is never idle.
  constexpr int highest_priority = -20;
  if (options.first && ::setpriority(PRIO_PROCESS, 0, highest_priority) != 0) {
    std::fputs("--first has no effect: this user has no right to it\n", stderr);
  }
  Fairness(options).run();
  return 0;
}

}  // namespace tern::bench
