// Runs a tern::Server with its loop and an application (support/server_session.h) on a kernel in
// memory (support/fake_kernel.h). Input: two bytes of options, then a script. While the loop waits,
// the script holds the actions of the peers, the network, the system, the application's other
// threads and the clock. At the end of the script the target stops the server.
//
// The target checks that every session got exactly one on_close, that every descriptor is closed,
// and that the written bytes satisfy a strict reader.
//
// Subject: src/server/worker.cc
// Subject: src/server/listener.cc
// Subject: src/server/handshake.cc
// Subject: src/server/requests.cc
// Subject: src/server/upgrade.cc
// Subject: src/connection/live_connection.cc
// Subject: src/connection/events.cc
// Subject: src/connection/connection.cc
// Subject: src/connection/dispatch.cc
// Subject: src/connection/registry.cc
// Subject: src/net/poller.cc
// Subject: src/net/mailbox.cc
// Subject: src/net/tcp.cc
#include "support/fake_kernel.h"
#include "support/far_end.h"
#include "support/input.h"
#include "support/server_session.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::fuzz::Acting;
using tern::fuzz::demand;
using tern::fuzz::FarEnd;
using tern::fuzz::Input;
using tern::fuzz::Kernel;
using tern::fuzz::Life;
using tern::fuzz::Lives;
using tern::fuzz::Stream;

constexpr std::size_t max_peers = 8;
constexpr std::size_t max_body = 100;
constexpr const char* targets[] = {"/act", "/handlers", "/later", "/unmakable", "/page", "/none"};

struct Peer {
  explicit Peer(std::shared_ptr<Stream> stream) : end(tern::Role::server, std::move(stream)) {}
  FarEnd end;
  std::size_t head = 0;  // the size of the upgrade request, if the connection began with one
};

class World {
 public:
  World(const std::uint8_t* data, std::size_t size) : input_(data, size) {
    kernel_.step = [this] { return step(); };
  }

  void run() {
    const tern::ServerOptions options = server_options();
    kernel_.fail_setup(input_.take());
    {
      tern::Server server(options);
      server_ = &server;
      add_routes(server);
      const auto ran = server.run();
      look();
      if (ran) check_counters(server.counters());
    }
    upgrades_.clear();  // these outlive the server
    demand(std::ranges::none_of(exchanges_, &tern::Exchange::is_open),
           "an open exchange at the end");
    exchanges_.clear();
    for (const tern::Handle& handle : lives_.handles) {
      demand(!handle.send("late") && !handle.close(), "a handle works after its server ended");
    }
    lives_.handles.clear();
    check();
  }

 private:
  tern::ServerOptions server_options() {
    const unsigned flags = input_.take();
    return {
        .host = (flags & 1) != 0 ? "::" : "127.0.0.1",
        .limits = {.max_message_bytes = 2000,
                   .max_fragments = 8,
                   .max_head_bytes = 2000,
                   .max_request_line_bytes = 200,
                   .max_header_fields = 20,
                   .max_body_bytes = max_body,
                   .max_queued_bytes = 3000,
                   .high_water_bytes = 1000,
                   .low_water_bytes = 100,
                   .overflow = (flags & 2) != 0 ? tern::Overflow::reject : tern::Overflow::close},
        .max_unfinished_handshakes = (flags & 4) != 0 ? 2u : 1024u,
        .max_connections = (flags & 8) != 0 ? 3u : 100u,
        .share_port = (flags & 16) != 0,
        .log =
            [this](const tern::LogRecord& record) {
              demand(!record.message.empty(), "an empty log message");
              if (++logged_ % 4 == 3) throw std::runtime_error("a log that fails");
            },
    };
  }

  void add_routes(tern::Server& server) {
    server.route<Acting>("/act", std::ref(lives_));
    server.route<tern::fuzz::Unmakable>("/unmakable");
    server.route("/handlers",
                 {.on_open = [this](tern::Connection&) { ++opened_; },
                  .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
                  .on_drain = [](tern::Connection&) {},
                  .on_pong =
                      [](tern::Connection& conn, std::span<const std::byte> payload) {
                        if (payload.empty()) conn.ping(payload);
                      },
                  .on_close =
                      [this](tern::Connection&, const tern::CloseInfo& info) {
                        if (info.opened) --opened_;
                      }});
    server.route("/later", [this](tern::Upgrade upgrade) {
      if (upgrades_.size() < 4) upgrades_.push_back(std::move(upgrade));
    });
    server.get("/page", [](const tern::Request& request) {
      if (!request.query("fail").empty()) throw std::runtime_error("a page that fails");
      return tern::Response::text(std::string(request.remote_address()));
    });
    server.post("/body", [](const tern::Request& request) {
      demand(request.body().size() <= max_body, "a body above the limit");
      return tern::Response::text(std::string(request.body()));
    });
    server.post("/body/later", [this](tern::Exchange exchange) {
      demand(exchange.request().body().size() <= max_body, "a body above the limit");
      if (exchanges_.size() < 4) exchanges_.push_back(std::move(exchange));
    });
  }

  // Runs at least one step of the script. Returns false if there are none left.
  bool step() {
    look();
    if (input_.empty()) {
      if (std::exchange(stopped_, true)) return false;
      server_->stop(10s);
      return true;
    }
    for (unsigned more = 0; more < 8 && happens(); ++more) {
    }
    return true;
  }

  // Runs one step. Returns whether another step runs before the loop looks again.
  bool happens() {
    const unsigned byte = input_.take();
    const unsigned what = byte % 21;
    if (peers_.empty() && what < 14) {
      connect();
      return false;
    }
    Peer* const peer = peers_.empty() ? nullptr : &peers_[byte / 21 % peers_.size()];
    if (what < 5) {
      peer->end.send_something(what, input_);
    } else if (what < 12) {
      peer->end.treat_socket(what - 5, input_);
    } else if (what == 12) {
      request(*peer, true);
    } else if (what == 13) {
      request(*peer, false);
    } else {
      return happens_around(what);
    }
    return false;
  }

  bool happens_around(unsigned what) {
    switch (what) {
      case 14:
        connect();
        return true;
      case 15:
        kernel_.pass(100ms * input_.take());
        return false;
      case 16:
        tern::fuzz::inject_fault(kernel_, input_);
        return true;
      case 17:
        answer();
        return false;
      case 18:
        kernel_.rotate(input_.take());
        return true;
      case 19:
        use_handle();
        return false;
      default:
        if (input_.take() % 4 == 0) server_->stop(100ms * input_.take());
        return true;
    }
  }

  void connect() {
    if (peers_.size() >= max_peers) return;
    if (auto stream = kernel_.connect_to_listener()) peers_.emplace_back(std::move(stream));
  }

  void request(Peer& peer, bool upgrade) {
    const unsigned what = input_.take();
    const std::string target = targets[what % std::size(targets)];
    const bool first = peer.end.stream->arrived.empty() && peer.end.stream->received.empty();
    if (!upgrade) {
      return peer.end.send(tern::test::page_request(what % 16 == 4 ? "/page?fail=1" : target,
                                                    what / 32 == 1   ? "HEAD"
                                                    : what / 32 == 2 ? "POST"
                                                                     : "GET"));
    }
    const std::string head =
        tern::test::upgrade_request("Sec-WebSocket-Protocol: chat\r\n", target);
    if (first) peer.head = head.size();
    peer.end.send(head);
  }

  void answer_page() {
    if (exchanges_.empty()) return;
    const tern::Exchange exchange = std::move(exchanges_.front());
    exchanges_.pop_front();
    if (input_.take() % 2 != 0) return;  // the destructor of `exchange` answers with 503
    exchange.respond(tern::Response::text(std::string(exchange.request().body())));
    demand(!exchange.is_open(), "an exchange that was answered is open");
  }

  void answer() {
    if (upgrades_.empty()) return answer_page();
    const unsigned how = input_.take();
    const tern::Upgrade upgrade = std::move(upgrades_.front());
    upgrades_.pop_front();
    demand(upgrade.request().target() == "/later", "the stored request changed");
    switch (how % 4) {
      case 0:
        upgrade.accept<Acting>({.protocols = {"chat"}}, std::ref(lives_));
        break;
      case 1:
        upgrade.respond(tern::Response::status(403, "no"));
        break;
      case 2:
        upgrade.accept<tern::fuzz::Unmakable>();
        break;
      default:
        return;  // the destructor of `upgrade` answers with 503
    }
    if (how / 4 % 2 != 0)
      upgrade.respond(tern::Response::status(404));  // the server ignores a second answer
  }

  // Does what another thread could do while the loop sleeps.
  void use_handle() {
    if (lives_.handles.empty()) return;
    const unsigned how = input_.take();
    const tern::Handle& handle = lives_.handles[how / 4 % lives_.handles.size()];
    switch (how % 4) {
      case 0:
        handle.send("from outside");
        return;
      case 1:
        handle.send(tern::SharedMessage(std::string(500, 'o')));
        return;
      case 2:
        handle.close(tern::CloseCode::going_away, "from outside");
        return;
      default:
        handle.post([](tern::Connection& conn) { conn.send("posted"); });
        return;
    }
  }

  void look() {
    for (Peer& peer : peers_) peer.end.look();
  }

  void check_counters(const tern::Counters& counters) {
    demand(counters.connections_open == 0, "run() returned but connections are open");
    demand(opened_ == 0, "an on_open without its on_close");
    demand(!counters.prometheus().empty(), "no metrics");
  }

  void check() {
    demand(kernel_.open_descriptors() == 0, "the server left descriptors open");
    look();
    for (const Life& life : lives_.all) {
      demand(life.closed && life.destroyed, "a session without on_close or destructor");
      if (!life.opened || life.stream >= peers_.size()) continue;
      const Peer& peer = peers_[life.stream];
      if (peer.head == 0) continue;
      tern::fuzz::demand_prefix(life.heard, peer.end.messages_behind(peer.head));
    }
  }

  Input input_;
  Kernel kernel_{};
  tern::Server* server_ = nullptr;
  Lives lives_{};
  std::deque<Peer> peers_{};
  std::deque<tern::Upgrade> upgrades_{};
  std::deque<tern::Exchange> exchanges_{};
  bool stopped_ = false;
  int opened_ = 0;  // open connections of the route "/handlers"
  unsigned logged_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(data, size).run();
  return 0;
}
