// A server with a bridge, for the interop checks. Commands of WebSocket clients on /ws are texts:
//
//   sub TOPIC [last N]           answer: !subscribed EPOCH OFFSET RECOVERED MISSED
//   sub TOPIC EPOCH OFFSET       the same, from a position
//   unsub TOPIC                  answer: !unsubscribed
//   pub TOPIC PAYLOAD            publishes to all but this connection; answer: !queued, !full …
//   all TOPIC PAYLOAD            publishes to all
//   bin TOPIC PAYLOAD            the same, as a binary message
//   ping                         answer: !pong
//   burn MILLISECONDS            keeps the loop of the connection busy
//
// A publication arrives as it is, with --positions as "EPOCH OFFSET PAYLOAD". A gap is
// "!gap TOPIC MISSED". The program prints a line for each event:
//
//   listening on 127.0.0.1:PORT
//   bridge up nats://127.0.0.1:4222     a change of the state, with the reason
//   gap TOPIC CAUSE                     Server::on_bridge_gap
//
// GET /flood/TOPICS/COUNT/SIZE publishes in a thread and answers with the results; with ?window=N
// it waits for the subscribers inside. With --tally N, clients inside of this program subscribe to
// the topics t.0 to t.N-1, and GET /tally tells what they received.

#include "tern/client.h"
#include "tern/server.h"
#ifdef TERN_HAS_NATS
#include "tern/nats.h"
#endif
#ifdef TERN_HAS_REDIS
#include "tern/redis.h"
#endif

#include "../../examples/cli.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace std::chrono_literals;

// Lines come from several threads, and the output is a pipe.
void print(const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::cout << line << std::endl;
}

std::string_view next_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

std::uint64_t number_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// ---- a client of the checks

class Session {
 public:
  explicit Session(tern::Server& server) : server_(server) {}

  void on_message(tern::Connection& conn, tern::Message message) {
    std::string_view text = message.text();
    const std::string_view command = next_word(text);
    if (command == "ping") return answer(conn, "pong");
    if (command == "burn") return burn(std::chrono::milliseconds(number_of(text)));
    const std::string_view topic = next_word(text);
    if (command == "sub") return subscribe(conn, topic, text);
    if (command == "unsub") {
      conn.unsubscribe(topic);
      return answer(conn, "unsubscribed");
    }
    tern::PublishStatus status = tern::PublishStatus::name_invalid;
    if (command == "pub") status = conn.publish(topic, text);
    if (command == "all") status = server_.publish(topic, text);
    if (command == "bin") {
      status = server_.publish(topic, tern::Message(tern::MessageType::binary, text));
    }
    answer(conn, std::string(publish_status_name(status)));
  }

  void on_gap(tern::Connection& conn, std::string_view topic, std::uint64_t missed) {
    answer(conn, "gap " + std::string(topic) + ' ' + std::to_string(missed));
  }

 private:
  // Keeps the loop busy.
  static void burn(std::chrono::nanoseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
  }

  static void answer(tern::Connection& conn, const std::string& text) { conn.send('!' + text); }

  static void subscribe(tern::Connection& conn, std::string_view topic, std::string_view from) {
    tern::SubscribeOptions options;
    const std::string_view first = next_word(from);
    if (first == "last") {
      options.from = tern::From::last(number_of(from));
    } else if (!first.empty()) {
      options.from = tern::Position{number_of(first), number_of(from)};
    }
    const auto begun = conn.subscribe(topic, options);
    if (!begun) return answer(conn, "refused: " + begun.error().message());
    answer(conn, "subscribed " + std::to_string(begun->epoch) + ' ' +
                     std::to_string(begun->offset) + ' ' + std::to_string(begun->recovered) + ' ' +
                     std::to_string(begun->missed));
  }

  tern::Server& server_;
};

// ---- many publications

// Begins the names of the publishers of this process.
std::string own_name() { return std::to_string(::getpid()) + '.'; }

struct Flood {
  std::uint64_t topics, count, size;
  std::uint64_t window;  // publications ahead of the subscribers inside; 0: no bound
};

// Publications are "PUBLISHER TOPIC NUMBER xxx…": each topic has the numbers 1, 2, 3 … of each
// publisher. One that is refused because too much waits is tried again.
std::string flood(tern::Server& server, const Flood& wanted,
                  const std::atomic<std::uint64_t>& own) {
  static std::atomic<unsigned> runs{0};
  const std::string publisher = own_name() + std::to_string(++runs);
  std::map<std::string, std::uint64_t> results;
  std::chrono::nanoseconds longest{0};
  for (std::uint64_t i = 0; i < wanted.count; ++i) {
    const std::string topic = "t." + std::to_string(i % wanted.topics);
    std::string payload =
        publisher + ' ' + topic + ' ' + std::to_string(i / wanted.topics + 1) + ' ';
    while (wanted.window > 0 && i >= own + wanted.window) std::this_thread::yield();
    payload.resize(std::max<std::size_t>(payload.size(), wanted.size), 'x');
    for (;;) {
      const auto began = std::chrono::steady_clock::now();
      const tern::PublishStatus status = server.publish(topic, payload);
      const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
      longest = std::max(longest, took);
      ++results[std::string(publish_status_name(status))];
      if (!(status == tern::PublishStatus::full)) break;
      std::this_thread::yield();
    }
  }
  std::string json = "{\"longest_us\":" + std::to_string(longest.count() / 1000);
  for (const auto& [name, count] : results) json += ",\"" + name + "\":" + std::to_string(count);
  return json + '}';
}

// ---- subscribers inside of this program

// The counts of one subscriber. Thread: the loop of the clients.
struct Tally {
  std::atomic<std::uint64_t>* own_received =
      nullptr;  // of publications of this process; of one subscriber
  const std::string own_publishers = own_name();
  std::size_t topics = 0;
  std::uint64_t subscribed = 0, received = 0, missing = 0, repeated = 0, gaps = 0;
  std::map<std::string, std::uint64_t> last{};   // number, by topic and publisher
  std::map<std::string, std::uint64_t> order{};  // a hash of all publications, by topic

  void take(std::string_view payload) {
    const std::string_view publisher = next_word(payload);
    const std::string topic(next_word(payload));
    const std::uint64_t number = number_of(next_word(payload));
    std::uint64_t& before = last[topic + ' ' + std::string(publisher)];
    ++received;
    if (own_received != nullptr && publisher.starts_with(own_publishers)) ++*own_received;
    if (number <= before) {
      ++repeated;
    } else {
      missing += number - before - 1;
      before = number;
    }
    std::uint64_t& hash = order[topic];
    for (const char c : publisher) mix(hash, static_cast<unsigned char>(c));
    mix(hash, number);
  }

  std::uint64_t order_of_all() const {
    std::uint64_t all = 0;
    for (const auto& [topic, hash] : order) mix(all, hash);
    return all;
  }

 private:
  static void mix(std::uint64_t& hash, std::uint64_t more) {
    hash = (hash ^ more) * 1'099'511'628'211u;
  }
};

class TallySession {
 public:
  explicit TallySession(Tally& tally) : tally_(tally) {}

  void on_open(tern::Connection& conn) {
    for (std::size_t i = 0; i < tally_.topics; ++i) conn.send("sub t." + std::to_string(i));
  }
  void on_message(tern::Connection&, tern::Message message) {
    const std::string_view text = message.text();
    if (text.starts_with("!subscribed")) {
      ++tally_.subscribed;
    } else if (text.starts_with("!gap")) {
      ++tally_.gaps;
    } else if (!text.starts_with('!')) {
      tally_.take(text);
    }
  }

 private:
  Tally& tally_;
};

// Clients on a loop in a thread of their own.
class Tallies {
 public:
  Tallies(std::size_t clients, std::size_t topics) : tallies_(clients) {
    for (Tally& tally : tallies_) tally.topics = topics;
    if (!tallies_.empty()) tallies_.front().own_received = &own_received_;
  }
  ~Tallies() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
  }

  void start(const std::string& url) {
    for (Tally& tally : tallies_) {
      clients_.emplace_back(loop_, url);
      clients_.back().connect<TallySession>(std::ref(tally)).value();
    }
    thread_ = std::thread([this] { loop_.run().value(); });
  }

  const std::atomic<std::uint64_t>& own_received() const { return own_received_; }

  // Answers when the loop has a moment.
  void tell(const tern::Exchange& exchange) {
    loop_.post([this, exchange] { exchange.respond(tern::Response::json(json())); });
  }

 private:
  std::string json() const {
    std::string all;
    for (const Tally& tally : tallies_) {
      std::ostringstream out;
      out << (all.empty() ? "[" : ",") << "{\"subscribed\":" << tally.subscribed
          << ",\"received\":" << tally.received << ",\"missing\":" << tally.missing
          << ",\"repeated\":" << tally.repeated << ",\"gaps\":" << tally.gaps << ",\"order\":\""
          << tally.order_of_all() << "\"}";
      all += out.str();
    }
    return all.empty() ? "[]" : all + ']';
  }

  std::atomic<std::uint64_t> own_received_{0};
  std::vector<Tally> tallies_;
  tern::Loop loop_{};
  std::vector<tern::Client> clients_{};
  std::thread thread_{};
};

// ---- the program

struct Arguments {
  tern::ServerOptions server{
      .host = "127.0.0.1", .port = 0, .threads = 2, .stop_on = {SIGINT, SIGTERM}};
  tern::BridgeOptions bridge{};
  std::vector<std::string> nats{};
  std::string redis{};
  std::string prefix = "tern.";
  std::string credentials{};
  tern::TlsClient tls{};
  bool raw = false;
  bool envelope = false;
  bool durable = false;
  bool positions = false;
  std::size_t history = 0;
  std::size_t tally_topics = 0;
  std::size_t tally_clients = 2;
};

template <class E>
CLI::CheckedTransformer names(const std::map<std::string, E>& values) {
  return CLI::CheckedTransformer(values);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  tern::BridgeOptions& bridge = arguments.bridge;
  CLI::App app("A server with a bridge, for the interop checks.", "bridged");
  app.add_option("--nats", arguments.nats, "URL of a NATS server; several: the next ones");
  app.add_option("--redis", arguments.redis, "addresses of Redis servers");
  app.add_option("--prefix", arguments.prefix, "before each topic");
  app.add_option("--credentials", arguments.credentials, "a .creds file for NATS");
  app.add_flag("--raw", arguments.raw, "NATS: no header fields");
  app.add_flag("--envelope", arguments.envelope, "Redis: an envelope");
  app.add_flag("--durable", arguments.durable, "history in Redis Streams");
  app.add_option("--topics", bridge.topics, "pattern");
  app.add_option("--order", bridge.order, "broker or local_first")
      ->transform(names<tern::Order>(
          {{"broker", tern::Order::broker}, {"local_first", tern::Order::local_first}}));
  app.add_option("--while-down", bridge.while_down, "buffer, fail or local")
      ->transform(names<tern::WhileDown>({{"buffer", tern::WhileDown::buffer},
                                          {"fail", tern::WhileDown::fail},
                                          {"local", tern::WhileDown::local}}));
  app.add_option("--on-gap", bridge.on_gap, "nothing, retained, recover or close")
      ->transform(names<tern::GapPolicy>({{"nothing", tern::GapPolicy::nothing},
                                          {"retained", tern::GapPolicy::retained},
                                          {"recover", tern::GapPolicy::recover},
                                          {"close", tern::GapPolicy::close}}));
  cli::add_seconds(app, "--linger", bridge.linger, "of the broker's subscriptions");
  app.add_option("--history", arguments.history, "publications that each topic keeps");
  app.add_flag("--positions", arguments.positions, "publications with epoch and offset");
  app.add_option("--threads", arguments.server.threads, "workers");
  app.add_option("--tally", arguments.tally_topics, "topics of the subscribers inside");
  app.add_option("--tally-clients", arguments.tally_clients, "subscribers inside");
  cli::add_trust(app, arguments.tls);
  cli::parse(app, argc, argv);
  return arguments;
}

void add_bridge(tern::Server& server, const Arguments& arguments) {
#ifdef TERN_HAS_NATS
  if (!arguments.nats.empty()) {
    tern::nats::Options options{.servers = arguments.nats, .prefix = arguments.prefix};
    options.credentials.file = arguments.credentials;
    if (arguments.raw) options.envelope = tern::nats::Envelope::none;
    const bool tls =
        !arguments.tls.ca_file.empty() || arguments.tls.insecure_accept_any_certificate;
    if (tls) options.tls = arguments.tls;
    server.bridge(tern::nats::Bridge(std::move(options)), arguments.bridge);
  }
#endif
#ifdef TERN_HAS_REDIS
  if (!arguments.redis.empty()) {
    tern::redis::Options options{.address = arguments.redis, .prefix = arguments.prefix};
    if (arguments.envelope) options.payload = tern::redis::Payload::envelope;
    if (arguments.durable) options.history.emplace();
    server.bridge(tern::redis::Bridge(std::move(options)), arguments.bridge);
  }
#endif
}

// Prints the state of the bridge when it has changed.
void tell_state(const tern::Server& server, std::string& told) {
  for (const tern::BridgeStatus& bridge : server.bridges()) {
    std::string line = "bridge " + std::string(bridge_state_name(bridge.state)) + ' ' + bridge.why;
    if (line != told) print(line);
    told = std::move(line);
  }
}

std::string positioned(const tern::Publication& publication) {
  return std::to_string(publication.position.epoch) + ' ' +
         std::to_string(publication.position.offset) + ' ' +
         std::string(publication.message.text());
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments = parse(argc, argv);
  cli::block(arguments.server.stop_on);
  arguments.server.limits.overflow = tern::Overflow::reject;  // a slow client stays, with a gap
  arguments.server.log = [](const tern::LogRecord& record) {
    print("log: " + std::string(record.message));
  };
  tern::Server server(arguments.server);
  if (arguments.positions) {
    server.topics({.history = arguments.history, .format = positioned});
  } else {
    server.topics({.history = arguments.history});
  }
  add_bridge(server, arguments);
  server.on_bridge_gap([](std::string_view topic, tern::GapCause cause) {
    print("gap " + std::string(topic) + ' ' + std::string(gap_cause_name(cause)));
  });
  std::once_flag once;
  server.on_worker_start([&](tern::Loop& loop) {
    std::call_once(once, [&] {
      loop.every(5ms, [&server, told = std::string()]() mutable { tell_state(server, told); });
    });
  });
  Tallies tallies(arguments.tally_topics == 0 ? 0 : arguments.tally_clients,
                  arguments.tally_topics);
  server.route<Session>("/ws", std::ref(server));
  server.get("/metrics", [&](const tern::Request&) {
    return tern::Response::text(server.counters().prometheus());
  });
  server.get("/tally", [&](tern::Exchange exchange) { tallies.tell(exchange); });
  server.get("/flood/{topics}/{count}/{size}", [&](tern::Exchange exchange) {
    const tern::Request& request = exchange.request();
    const auto number = [&](std::string_view name) { return number_of(request.parameter(name)); };
    const Flood wanted{std::max<std::uint64_t>(number("topics"), 1), number("count"),
                       number("size"), number_of(request.query("window"))};
    std::thread([&, exchange, wanted] {
      exchange.respond(tern::Response::json(flood(server, wanted, tallies.own_received())));
    }).detach();
  });

  auto ran = server.listen();
  if (ran) {
    const std::string port = std::to_string(server.port());
    if (arguments.tally_topics > 0) tallies.start("ws://127.0.0.1:" + port + "/ws");
    print("listening on 127.0.0.1:" + port);
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
