// A server for `tern-bench fanout`: on /fanout, the messages of each connection go to all other
// connections, by a topic. On /many each message makes 1000 subscriptions. /echo is an echo. The
// flags are those of the servers in bench/peers.
#include "tern/tern.h"

#include "peers/options.h"

#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct Options : peers::Options {
  std::size_t queue_limit = std::size_t{1} << 30;
  double idle_timeout = 3600;
  bool by_hand = false;
};

struct Subscriber {
  void on_open(tern::Connection& conn) { conn.subscribe("all"); }
  void on_message(tern::Connection& conn, tern::Message msg) { conn.publish("all", msg); }
};

// Subscribes connection number `n`, which the message contains, to 1000 of 100 000 topics. So 1000
// connections have a million subscriptions, and each topic has ten.
struct Many {
  void on_message(tern::Connection& conn, tern::Message msg) {
    const std::size_t n = std::stoul(std::string(msg.text()));
    for (std::size_t i = n * 1'000; i < (n + 1) * 1'000; ++i) {
      conn.subscribe("topic." + std::to_string(i % 100'000));
    }
    conn.send(msg);
  }
};

// A loop over all connections, without topics. The server has one worker, so all connections have
// the same loop.
class ByHand {
 public:
  using All = std::vector<tern::Connection*>;

  explicit ByHand(All& all) : all_(all) {}
  void on_open(tern::Connection& conn) { all_.push_back(&conn); }
  void on_message(tern::Connection& conn, tern::Message msg) {
    const tern::SharedMessage shared(msg);
    for (tern::Connection* other : all_) {
      if (other != &conn) other->send(shared);
    }
  }
  void on_close(tern::Connection& conn, const tern::CloseInfo&) { std::erase(all_, &conn); }

 private:
  All& all_;
};

tern::ServerOptions options_of(const Options& asked) {
  tern::ServerOptions options{
      .host = "127.0.0.1", .port = asked.port, .stop_on = {SIGINT, SIGTERM}};
  options.limits.max_message_bytes = asked.max_message;
  options.limits.max_queued_bytes = asked.queue_limit;
  options.timeouts.silence = options.timeouts.pong = std::chrono::ceil<std::chrono::nanoseconds>(
      std::chrono::duration<double>(asked.idle_timeout));
  if (asked.deflate_level > 0) options.deflate = tern::Deflate{.level = asked.deflate_level};
  if (!asked.certificate.empty()) {
    options.tls = tern::TlsServer{.certificate = asked.certificate, .private_key = asked.key};
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Fan-out on /fanout and echo on /echo.", "tern_fanout");
  peers::add_options(app, options);
  peers::add_deflate_level(app, options);
  app.add_option("--queue-limit", options.queue_limit, "bytes that may wait for a slow peer");
  app.add_option("--idle-timeout", options.idle_timeout, "seconds of silence before a ping");
  app.add_flag("--by-hand", options.by_hand, "call send() for each connection, without topics");
  CLI11_PARSE(app, argc, argv);

  tern::Server server(options_of(options));
  ByHand::All all;
  if (options.by_hand) {
    server.route<ByHand>("/fanout", std::ref(all));
  } else {
    server.route<Subscriber>("/fanout");
  }
  server.route<Many>("/many");
  server.route("/echo",
               tern::Handlers{
                   .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
               });
  auto ran = server.listen();
  if (ran) {
    std::cout << "listening on ws" << (options.certificate.empty() ? "" : "s")
              << "://127.0.0.1:" << server.port() << "/echo" << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
