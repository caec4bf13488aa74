// The second program whose instructions scripts/guard.sh counts: a client on a loop that echoes
// binary messages. Its peer, guard_server, sends "next" as text to get another connection, and
// "end" at the end. No connection closes before that.

#include "tern/client.h"

#include <chrono>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <string>

namespace tern::bench {
namespace {

class Clients {
 public:
  explicit Clients(std::string url) : url_(std::move(url)) {
    options_->dial.timeouts.silence = std::chrono::hours(1);
    options_->retry = Retry::never();
    options_->on_ended = [this](const Ended&) { stop(1); };
  }

  void add() {
    clients_.emplace_back(loop_, url_, options_).connect<Session>(std::ref(*this)).value();
  }
  int run() {
    add();
    loop_.run().value();
    return exit_code_;
  }

 private:
  struct Session {
    Clients& clients;

    void on_open(Connection&) const noexcept { begin_count(); }
    void on_message(Connection& conn, Message message) const {
      if (!message.is_text()) {
        conn.send(message);
      } else if (message.text() == "next") {
        clients.add();
      } else {
        clients.stop(0);
      }
    }
  };

  // Callgrind starts a new count here, see the variable `boundary` of the script.
  [[gnu::noinline]] static void begin_count() noexcept { asm volatile(""); }

  void stop(int exit_code) {
    exit_code_ = exit_code;
    loop_.stop();
  }

  const std::string url_;
  const std::shared_ptr<ClientOptions> options_ = std::make_shared<ClientOptions>();
  Loop loop_{};
  std::deque<Client> clients_{};
  int exit_code_ = 1;
};

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: guard_echo_client ws://HOST:PORT/PATH\n");
    return 2;
  }
  try {
    return tern::bench::Clients(argv[1]).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "guard_echo_client: %s\n", error.what());
    return 1;
  }
}
