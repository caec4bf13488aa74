// Runs a tern::Client with its loop and an application on a kernel in memory
// (support/fake_kernel.h). Input: five bytes of options, then a script. While the loop waits, the
// script holds the actions of the servers or proxies, the resolver, the network, the system, the
// application and the clock. The application may also destroy, stop or restart the client in one of
// its callbacks. At the end of the script the target stops the client.
//
// The target checks that each session gets one on_open and one on_close, that each attempt and each
// connection ends once, that state() agrees with what is reported, that no attempt comes too early,
// that nothing is called after the destructor, that the written bytes satisfy a strict reader, and
// that every descriptor is closed.
//
// Subject: src/client/loop_client.cc
// Subject: src/client/client_end.cc
// Subject: src/client/client_send.cc
// Subject: src/client/loop_attempt.cc
// Subject: src/client/loop_race.cc
// Subject: src/client/outbox.cc
// Subject: src/client/tunnel.cc
#include "tern/client.h"

#include "net/resolver.h"
#include "support/client_world.h"
#include "support/fake_kernel.h"
#include "support/far_end.h"
#include "support/input.h"
#include "support/server_session.h"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::ClientState;
using tern::fuzz::Acting;
using tern::fuzz::demand;
using tern::fuzz::FarEnd;
using tern::fuzz::Input;
using tern::fuzz::Kernel;
using tern::fuzz::Life;
using tern::fuzz::Lives;
using tern::fuzz::Stream;

enum class Place { none, constructor, open, message, drain, close, ended, again, before, log };
constexpr unsigned place_count = 10;

// The server of the URL; `names`: proxies have a name, too.
enum class Target { address, name, unix_socket, names };

struct AskedName {
  std::uint16_t port;
  tern::net::Lookups::Done done;
};

class World;
World* the_world = nullptr;

class World {
 public:
  World(const std::uint8_t* data, std::size_t size) : input_(data, size) {
    kernel_.step = [this] { return step(); };
    kernel_.on_connect = [this](Stream&) { return connect(); };
    the_world = this;
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { the_world = nullptr; }

  // A look-up, which the script answers or not.
  void look_up(std::uint16_t port, tern::net::Lookups::Done done) {
    demand(!destroyed_, "a look-up after the destructor");
    lookups_.push_back({port, std::move(done)});
  }

  void run() {
    const unsigned flags = input_.take();
    where_ = static_cast<Place>(input_.take() % place_count);
    what_ = input_.take();
    const unsigned more = input_.take();
    occasions_ = more % 4;
    target_ = static_cast<Target>(more / 4 % 4);
    kernel_.fail_setup(input_.take());
    secure_ = more / 16 % 2 == 1;
    proxied_ = secure_ || (flags & 3) == 1 || (flags & 3) == 2;
    loop_ = std::make_unique<tern::Loop>();
    client_.emplace(*loop_, url(flags), options(flags));
    if (client_->connect<Session>(std::ref(*this))) {
      send("before the loop runs");
      static_cast<void>(loop_->run());
    }
    look();
    if ((flags & 128) != 0) loop_.reset();  // it ends before the client
    destroy();
    loop_.reset();
    attempts_.clear();
    lookups_.clear();
    lives_.handles.clear();
    check();
  }

 private:
  // The application of a connection: that of whole_server_fuzz, and one action of World.
  class Session : public Acting {
   public:
    explicit Session(World& world) : Acting(world.lives_), world_(world), number_(world.sessions_) {
      ++world_.sessions_;
      world_.lives_.all[number_].stream =
          static_cast<unsigned>(world_.kernel_.dialled().size()) - 1;
      try {
        world_.act(Place::constructor);
      } catch (...) {
        Life& life = world_.lives_.all[number_];
        life.opened = life.closed = true;  // it was not constructed, and nothing comes
        life.stream = ~0u;
        throw;
      }
    }
    void on_open(tern::Connection& conn) {
      const unsigned stream = world_.lives_.all[number_].stream;
      Acting::on_open(conn);
      world_.lives_.all[number_].stream = stream;
      ++world_.opened_;
      world_.act(Place::open);
    }
    void on_message(tern::Connection& conn, tern::Message message) {
      demand(!world_.destroyed_, "a message after the destructor");
      Acting::on_message(conn, message);
      world_.act(Place::message);
    }
    void on_drain(tern::Connection& conn) {
      demand(!world_.destroyed_, "on_drain after the destructor");
      Acting::on_drain(conn);
      world_.act(Place::drain);
    }
    void on_close(tern::Connection& conn, const tern::CloseInfo& info) {
      ++world_.closed_;
      Acting::on_close(conn, info);
      world_.act(Place::close);
    }

   private:
    World& world_;
    std::size_t number_;
  };

  const char* url(unsigned flags) const {
    switch (target_) {
      case Target::address:
        break;
      case Target::name:
      case Target::names:
        return secure_ ? "wss://server.test/a?secret" : "ws://server.test/a?secret";
      case Target::unix_socket:
        return "ws+unix:///socket:/a?secret";
    }
    if (secure_) return "wss://127.0.0.1/echo";
    return (flags & 16) != 0 ? "ws://[::1]:81/a?secret" : "ws://127.0.0.1/echo";
  }

  // The peers cannot speak TLS, so a secure client only learns how its handshake fails.
  tern::ClientOptions options(unsigned flags) {
    tern::ClientOptions options;
    options.dial.limits = tern::fuzz::small_limits();
    const std::string proxy = target_ == Target::names ? "proxy.test" : "192.0.2.1";
    const std::string http = secure_ ? "https://me:word@" : "http://me:word@";
    options.dial.tls.insecure_accept_any_certificate = true;
    if ((flags & 3) == 1) options.dial.proxy = *tern::Proxy::parse(http + proxy);
    options.dial.proxy.tls(options.dial.tls);
    if ((flags & 3) == 2) options.dial.proxy = *tern::Proxy::parse("socks5://" + proxy);
    if ((flags & 3) == 3) options.dial.max_redirects = 2;
    if ((flags & 4) != 0) {
      options.before_attempt = [this](tern::Attempt attempt) { before(std::move(attempt)); };
    }
    if ((flags & 8) != 0) {
      options.outbox = tern::Outbox{.max_bytes = 1000, .max_messages = 5, .max_age = 5s};
      options.outbox->drop_oldest = (flags & 16) != 0;
    }
    if ((flags & 32) != 0) options.retry.attempts = 3;
    if ((flags & 64) != 0) {
      options.retry.again = [this](const tern::Ended& ended) { return again(ended); };
    }
    options.dial.stop = stop_source_.get_token();
    options.on_ended = [this](const tern::Ended& ended) { on_ended(ended); };
    options.on_request = [this](std::string_view head) {
      demand(!destroyed_, "on_request after the destructor");
      demand(head.starts_with("GET /") || head.starts_with("CONNECT "), "another request");
      demand(head.ends_with("\r\n\r\n"), "a request that is not whole");
    };
    options.log = [this](const tern::LogRecord& record) {
      demand(!record.message.empty(), "an empty log message");
      act(Place::log);
    };
    return options;
  }

  // ---- the callbacks

  void on_ended(const tern::Ended& ended) {
    demand(!destroyed_, "on_ended after the destructor");
    demand((ended.failure == nullptr) != (ended.close == nullptr), "neither failed nor open");
    demand(!over_, "an end after the last end");
    demand(ended.url.find("secret") == ended.url.npos, "an end holds the query");
    const ClientState state = client_->state();
    demand((state == ClientState::stopped) == !ended.wait, "state() and wait disagree");
    demand(client_->next_attempt().has_value() == (state == ClientState::waiting),
           "next_attempt() and state() disagree");
    if (ended.failure != nullptr) {
      demand(!ended.failure->message().empty(), "an error without a text");
      demand(ended.failure->message().find("secret") == std::string::npos,
             "an error text holds the query");
    } else {
      ++ends_of_open_;
    }
    over_ = !ended.wait;
    if (ended.wait && *ended.wait > 0s) {
      demand(*ended.wait >= 100ms, "a wait below the floor");
      earliest_ = now() + *ended.wait;
    }
    act(Place::ended);
  }

  bool again(const tern::Ended& ended) {
    demand(!destroyed_, "again after the destructor");
    const bool goes_on = ended.failures % 3 != 2;
    act(Place::again);
    return goes_on;
  }

  void before(tern::Attempt attempt) {
    demand(!destroyed_, "before_attempt after the destructor");
    demand(client_->state() == ClientState::connecting, "before_attempt in another state");
    if (attempts_.size() < 4) attempts_.push_back(attempt);
    act(Place::before);
  }

  void act(Place here) {
    if (here != where_ || occasions_ == 0) return;
    --occasions_;
    do_something(what_);
    if (what_ % 16 == 15) throw std::runtime_error("on purpose");
  }

  // One of the calls that an application may make on its client.
  void do_something(unsigned what) {
    if (!client_) return;
    switch (what % 8) {
      case 0:
        return destroy();
      case 1:
        return what < 128 ? stop() : static_cast<void>(stop_source_.request_stop());
      case 2:
        return reconnect();
      case 3:
        stop();
        return reconnect();
      case 4:
        reconnect();
        return stop();
      case 5:
        client_->settle();
        return send(std::string(what * 3u, 'o'));
      case 6:
        client_->handle().close();
        return send("after a close");
      default:
        return send(tern::Message(tern::MessageType::text, "\xff"));
    }
  }
  void destroy() {
    destroyed_ = true;
    client_.reset();
  }
  void stop() {
    const bool stopped = client_->stop();
    demand(stopped || !loop_ || !loop_->in_loop_thread(), "stop() fails");
  }
  void reconnect() {
    earliest_ = 0ns;
    over_ = false;
    client_->reconnect();
  }
  void send(tern::Message message) {
    const tern::SendStatus status = client_->send(message);
    demand(client_->state() != ClientState::stopped || !status, "a send after the end");
  }

  // ---- the world while the loop waits

  int connect() {
    demand(!destroyed_, "a connect after the destructor");
    if (!destroyed_ && earliest_ > 0ns) {
      demand(now() >= earliest_, "an attempt comes too early");
      earliest_ = 0ns;
    }
    return tern::fuzz::result_of_connect(input_);
  }

  bool step() {
    look();
    if (input_.empty()) return finish();
    happens(input_.take());
    return true;
  }

  // The client stops; then the peers end; then the loop stops.
  bool finish() {
    switch (finished_++) {
      case 0:
        loop_->post([this] {
          if (client_) client_->stop();
        });
        return true;
      case 1:
        for (FarEnd& peer : peers_) tern::fuzz::end_peer(*peer.stream);
        return true;
      case 2:
        kernel_.pass(60s);
        return true;
      default:
        loop_->stop();
        return true;
    }
  }

  void happens(unsigned byte) {
    const unsigned what = byte % 25;
    FarEnd* const peer = peers_.empty() ? nullptr : &peers_.back();
    if (what == 14) return kernel_.pass(100ms * input_.take());
    if (what == 15) return tern::fuzz::inject_fault(kernel_, input_);
    if (what == 16) return kernel_.rotate(input_.take());
    if (what == 17) {
      const unsigned deed = input_.take();
      loop_->post([this, deed] { do_something(deed); });
      return;
    }
    if (what == 18) return answer(input_.take());
    if (what == 24) return answer_lookup(input_.take());
    if (peer != nullptr) peer_acts(*peer, what);
  }

  void peer_acts(FarEnd& peer, unsigned what) {
    using namespace std::string_literals;
    if (tern::fuzz::end_connect(*peer.stream, what == 1)) return;
    if (what < 5) {
      peer.send_something(what, input_);
    } else if (what < 12) {
      peer.treat_socket(what - 5, input_);
    } else if (what < 14) {
      const std::string& sent = peer.stream->sent;
      const std::size_t request = sent.rfind("GET /");
      if (request != sent.npos) peer.send(tern::test::upgrade_answer(sent.substr(request)));
    } else if (what == 19) {
      peer.send("HTTP/1.1 200 Connection established\r\n\r\n");
    } else if (what == 20) {
      peer.send("\x05\x00"s);
    } else if (what == 21) {
      peer.send("\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"s);
    } else if (what == 22) {
      peer.send("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
    } else {
      peer.send("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno");
    }
  }

  // Answers an attempt, as another thread could do while the loop sleeps.
  void answer(unsigned how) {
    if (attempts_.empty()) return;
    const tern::Attempt attempt = std::move(attempts_.front());
    attempts_.pop_front();
    switch (how % 6) {
      case 0:
        return attempt.go();
      case 1:
        return attempt.go("ws://127.0.0.2:82/other", {{"Authorization", "x"}});
      case 2:
        return attempt.go({}, {{"Bad name", "x"}});
      case 3:
        return attempt.fail("no token");
      case 4:
        return attempt.give_up("no right");
      default:
        return;  // no answer
    }
  }

  // Answers a look-up, also one that the client has given up.
  void answer_lookup(unsigned how) {
    if (lookups_.empty()) return;
    auto [port, done] = std::move(lookups_.front());
    lookups_.pop_front();
    if (how % 4 == 3) return done(tern::Error(tern::Errc::name_not_resolved, "resolve"));
    tern::net::Addresses found;
    if (how % 4 == 1) found.push_back(*tern::net::Address::parse("2001:db8::7", port));
    for (unsigned i = 0; i <= how % 4; ++i) {
      found.push_back(*tern::net::Address::parse("192.0.2." + std::to_string(i), port));
    }
    done(std::move(found));
  }

  void look() {
    while (peers_.size() < kernel_.dialled().size()) {
      peers_.emplace_back(tern::Role::client, kernel_.dialled()[peers_.size()]);
    }
    if (proxied_) return;  // other bytes come before those that the strict reader knows
    for (FarEnd& peer : peers_) peer.look();
  }

  void check() {
    demand(kernel_.open_descriptors() == 0, "the client left descriptors open");
    look();
    demand(opened_ == closed_, "on_open and on_close are not in pairs");
    demand(ends_of_open_ <= opened_, "more ends than connections");
    for (const Life& life : lives_.all) {
      demand(life.closed && life.destroyed, "a session without on_close or destructor");
      if (life.stream >= peers_.size() || proxied_) continue;
      const FarEnd& peer = peers_[life.stream];
      const std::string& received = peer.stream->received;
      if (!received.starts_with("HTTP/1.1 101 ")) continue;
      tern::fuzz::demand_prefix(life.heard, peer.messages_behind(received.find("\r\n\r\n") + 4));
    }
  }

  std::chrono::nanoseconds now() const { return loop_->now().time_since_epoch(); }

  Input input_;
  Kernel kernel_{};
  Lives lives_{};
  std::deque<FarEnd> peers_{};
  std::deque<tern::Attempt> attempts_{};
  std::deque<AskedName> lookups_{};
  std::stop_source stop_source_{};
  std::unique_ptr<tern::Loop> loop_{};
  std::optional<tern::Client> client_{};
  Target target_ = Target::address;
  Place where_ = Place::none;
  unsigned what_ = 0;
  unsigned occasions_ = 0;
  std::chrono::nanoseconds earliest_{0};
  bool secure_ = false;
  bool proxied_ = false;  // also if secure_: a peer does not see frames, or not from the start
  bool destroyed_ = false;
  bool over_ = false;
  unsigned finished_ = 0;
  std::size_t sessions_ = 0;
  int opened_ = 0;
  int closed_ = 0;
  int ends_of_open_ = 0;
};

}  // namespace

// Replaces tern::net::resolve_async() (CMakeLists.txt). A client that gives up a look-up must take
// an answer that comes too late, so the returned object cancels nothing.
tern::net::Lookup fake_resolve_async(
    std::string_view, std::uint16_t port,
    tern::net::Lookups::Done done) __asm__("__wrap_" TERN_RESOLVE_ASYNC);
tern::net::Lookup fake_resolve_async(std::string_view, std::uint16_t port,
                                     tern::net::Lookups::Done done) {
  the_world->look_up(port, std::move(done));
  return {};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(data, size).run();
  return 0;
}
