// Opens many connections to an echo server from one thread, sends a message on each, and prints
// their cost.

#include "tern/client.h"

#include "cli.h"

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace {

// The largest number of attempts at the same time. There is a limit because the queue of a
// listening socket is bounded.
constexpr std::size_t most_attempts = 100;

std::size_t resident_bytes() {
  unsigned long pages = 0;
  if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%*u %lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Raises the limit of this process, no further than an unprivileged process may. Returns whether
// that is enough; prints the limit if not.
bool allow_descriptors(std::size_t count) {
  constexpr std::size_t others = 32;  // standard streams, the loop
  const rlim_t needed = count + others;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) return true;
  if (limit.rlim_max >= needed) {
    limit.rlim_cur = needed;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return true;
  }
  std::fprintf(stderr,
               "many: %zu connections need %zu descriptors, but the limit is %zu (ulimit -Hn)\n",
               count, static_cast<std::size_t>(needed), static_cast<std::size_t>(limit.rlim_max));
  return false;
}

class Crowd {
 public:
  // The session of a connection. It only refers to the crowd.
  struct Member {
    explicit Member(Crowd& of) : crowd(of) {}
    Crowd& crowd;
    void on_open(tern::Connection&) { crowd.on_open(); }
    void on_message(tern::Connection&, tern::Message) { crowd.on_echo(); }
  };

  Crowd(tern::Loop& loop, std::string url, std::size_t count, tern::DialOptions dial)
      : loop_(loop), url_(std::move(url)), count_(count) {
    options_->dial = std::move(dial);
    options_->retry = tern::Retry::never();
    options_->on_ended = [this](const tern::Ended& ended) { on_ended(ended); };
    clients_.reserve(count);
  }

  void start() {
    if (::isatty(STDERR_FILENO) == 1) {
      show();
      loop_.every(std::chrono::milliseconds(100), [this] { show(); });
    }
    connect_some();
  }
  // Prints the result. Returns whether all connections opened and echoed.
  bool report() const;

 private:
  void connect_some() {
    while (clients_.size() < count_ && clients_.size() - opened_ - failed_ < most_attempts) {
      clients_.emplace_back(loop_, url_, options_);
      if (auto begun = clients_.back().connect<Member>(std::ref(*this)); !begun) {
        on_failure(begun.error().message());
      }
    }
    if (opened_ + failed_ == count_) echo_on_all();
  }
  void on_open() {
    if (++opened_ == base_) at_base_ = Cost::now();
    connect_some();
  }
  void on_failure(std::string why) {
    if (++failed_ == 1) failure_ = std::move(why);
  }
  void on_ended(const tern::Ended& ended) {
    if (ended.failure != nullptr) {
      on_failure(ended.failure->message());
      return connect_some();
    }
    ++lost_;
    stop_if_done();
  }
  void echo_on_all() {
    at_all_ = Cost::now();
    for (tern::Client& client : clients_) client.send("hello");
    stop_if_done();
  }
  void on_echo() {
    ++echoed_;
    stop_if_done();
  }
  void stop_if_done() {
    if (opened_ + failed_ == count_ && echoed_ + lost_ >= opened_) loop_.stop();
  }
  void show() const {
    std::fprintf(stderr, "\r%zu of %zu open, %zu failed, %zu echoes\033[K", opened_, count_,
                 failed_, echoed_);
  }

  // The resources of this process so far.
  struct Cost {
    std::size_t bytes = 0;
    double cpu = 0;
    static Cost now() { return {resident_bytes(), cpu_seconds()}; }
  };

  tern::Loop& loop_;
  const std::string url_;
  const std::size_t count_;
  // All clients share the options, which saves memory.
  const std::shared_ptr<tern::ClientOptions> options_ = std::make_shared<tern::ClientOptions>();
  std::vector<tern::Client> clients_{};
  std::size_t opened_ = 0;
  std::size_t failed_ = 0;
  std::size_t lost_ = 0;
  std::size_t echoed_ = 0;
  std::string failure_{};  // the first one
  // The figures are those of the connections after the first tenth, because buffers and tables
  // exist once.
  const std::size_t base_ = count_ / 10 + 1;
  Cost at_base_{};
  Cost at_all_{};
};

bool Crowd::report() const {
  if (::isatty(STDERR_FILENO) == 1) std::fputs("\r\033[K", stderr);
  std::printf("opened %zu, failed %zu, echoed %zu\n", opened_, failed_, echoed_);
  if (failed_ > 0) std::printf("the first failure: %s\n", failure_.c_str());
  if (opened_ > base_ && at_all_.bytes > 0) {
    const auto others = static_cast<double>(opened_ - base_);
    std::printf("a connection: %.0f bytes, %.1f us of CPU to open\n",
                (static_cast<double>(at_all_.bytes) - static_cast<double>(at_base_.bytes)) / others,
                (at_all_.cpu - at_base_.cpu) * 1e6 / others);
  }
  return opened_ == count_ && echoed_ == count_;
}

}  // namespace

int main(int argc, char** argv) {
  std::string url;
  std::size_t count = 10'000;
  tern::DialOptions dial;
  CLI::App app("Opens many connections to a WebSocket echo server from one thread.", "many");
  app.option_defaults()->always_capture_default();
  app.add_option("URL", url, "ws:// or wss://")->check(cli::not_empty())->required();
  app.add_option("--connections", count)->check(cli::positive());
  cli::add_trust(app, dial.tls);
  cli::parse(app, argc, argv);
  if (!allow_descriptors(count)) return 1;

  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);  // the loop receives it

  tern::Loop loop;
  Crowd crowd(loop, url, count, std::move(dial));
  auto ran = loop.on_signal(SIGINT, [&loop](int) { loop.stop(); });
  loop.post([&crowd] { crowd.start(); });
  if (ran) ran = loop.run();
  if (!ran) std::fprintf(stderr, "many: %s\n", ran.error().message().c_str());
  return crowd.report() && ran ? 0 : 1;
}
