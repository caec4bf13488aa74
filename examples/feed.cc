// Follows a numbered feed and continues where it stopped when the connection ends, until Ctrl-C.
//
// The server sends messages of the form "<number> <text>", beginning with the number that the
// client asks for: "from <number>". It may send some of them twice.

#include "tern/client.h"

#include "cli.h"

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

namespace {

// The state that outlives a connection.
struct Store {
  std::uint64_t next = 0;  // the number of the next message

  // Returns false for a message that came before, or that has no number.
  bool take(std::string_view message) {
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(message.data(), message.data() + message.size(), number);
    if (parsed.ec != std::errc() || number < next) return false;
    next = number + 1;
    return true;
  }
};

// There is one for each connection. It subscribes again.
class Feed {
 public:
  Feed(tern::Client& client, Store& store) : client_(client), store_(store) {}

  void on_open(tern::Connection& conn) { conn.send("from " + std::to_string(store_.next)); }
  void on_message(tern::Connection&, tern::Message message) {
    client_.settle();  // the subscription works, so earlier failures do not count any more
    if (store_.take(message.text())) std::cout << message.text() << std::endl;
  }

 private:
  tern::Client& client_;
  Store& store_;
};

// One line for each end: the reason and what follows.
void print(const tern::Ended& ended) {
  std::cerr << (ended.failure != nullptr
                    ? ended.failure->message()
                    : "closed with " + std::to_string(static_cast<int>(ended.close->code)));
  if (ended.wait) {
    std::cerr << "; next attempt in " << std::chrono::duration<double>(*ended.wait).count() << " s";
  }
  std::cerr << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  std::string url;
  Store store;
  tern::ClientOptions options;
  CLI::App app("Follows a numbered feed and reconnects.", "feed");
  app.option_defaults()->always_capture_default();
  app.add_option("URL", url, "ws:// or wss://")->check(cli::not_empty())->required();
  app.add_option("--from", store.next, "number of the first message")->check(cli::not_negative());
  cli::add_seconds(app, "--longest-wait", options.retry.most, "before an attempt to connect");
  cli::add_trust(app, options.dial.tls);
  cli::parse(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  for (const int signo : {SIGINT, SIGTERM}) sigaddset(&signals, signo);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // the loop receives them

  tern::Loop loop;
  options.on_ended = [&loop](const tern::Ended& ended) {
    print(ended);
    if (!ended.wait) loop.stop();  // there is no further attempt
  };
  tern::Client client(loop, url, std::move(options));
  auto begun = client.connect<Feed>(std::ref(client), std::ref(store));
  for (const int signo : {SIGINT, SIGTERM}) {
    if (begun) begun = loop.on_signal(signo, [&client](int) { client.stop(); });
  }
  if (begun) begun = loop.run();
  if (!begun) std::cerr << begun.error().message() << std::endl;
  return begun && !client.error() ? 0 : 1;
}
