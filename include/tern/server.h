// A WebSocket server: worker loops on one port, routes to sessions, and pages beside them.
#pragma once

#include "tern/bridge.h"
#include "tern/close.h"
#include "tern/connection.h"
#include "tern/drain.h"
#include "tern/engine.h"
#include "tern/error.h"
#include "tern/exchange.h"
#include "tern/files.h"
#include "tern/http.h"
#include "tern/listener.h"
#include "tern/observe.h"
#include "tern/options.h"
#include "tern/tls.h"
#include "tern/topics.h"
#include "tern/unique_function.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tern {

namespace server {
class Core;
class PendingRequest;
}  // namespace server

/// The effect of SIGHUP, which operators send to a program that shall read its files again.
enum class Hangup : std::uint8_t {
  untouched,            ///< the server does not take it; by default it ends the program
  reload_certificates,  ///< as Server::reload_certificates(); the log gets the result
};

/// Limits for each address of a client; 0: no limit. An IPv6 address counts with all of its network
/// of 64 bits. Of a connection that comes through a trusted proxy or with a PROXY header, the
/// client counts that the proxy tells, from its upgrade on. A client without an address is not
/// limited. Clients behind one router share an address, so choose the limits generously.
struct PerAddress {
  std::size_t connections = 0;       ///< TCP connections at a time; beyond: 429, over TLS the end
  unsigned upgrades_per_second = 0;  ///< to WebSocket, so many also at once; beyond: 429
};

/// The options of a Server. Every field has a safe default. Designated initialisers, as
/// {.port = 9001, .limits = {…}}, name the fields in this order.
struct ServerOptions {
  /// Like Listener::host: an address or a name of this machine, or "unix:/run/app.sock".
  std::string host = "0.0.0.0";
  std::uint16_t port = 0;  ///< 0: the system chooses, see Server::port()
  /// Several places to accept from. If there are any, `host` and `port` have no effect, so
  /// inherited_listeners() may stand here beside the port for a start without systemd.
  std::vector<Listener> listeners{};
  /// The mode of the file of a Unix socket, at most 0777; absent: as the umask decides. A program
  /// needs the permission to write to connect.
  std::optional<std::uint32_t> unix_mode{};
  unsigned threads = 1;  ///< number of worker loops; the caller of run() is the first
  /// Like LoopOptions::spin, for each worker: it keeps a core busy for so long before it sleeps.
  std::chrono::nanoseconds spin{0};
  /// Signals that stop the server, e.g. {SIGINT, SIGTERM}. A second signal ends it at once. run()
  /// blocks them in its threads while it runs. The program must block them in its other threads. In
  /// one process only one server, or Loop::on_signal, takes a signal. To stop another server as
  /// well, the program calls stop() of that server.
  std::vector<int> stop_on{};
  std::chrono::nanoseconds stop_deadline = std::chrono::seconds(10);  ///< for such a stop
  /// The first signal of stop_on drains the server in this way, see Server::drain(); absent: it
  /// stops the server. The second one ends it at once.
  std::optional<Drain> drain_on_stop{};
  /// The action of the server when SIGHUP arrives. It takes the signal as those of stop_on, and the
  /// program blocks it in the same way.
  Hangup on_hangup = Hangup::untouched;
  std::optional<TlsServer> tls{};  ///< wss:// and https:// instead of ws:// and http://
  Limits limits{};
  Timeouts timeouts{};
  /// Origins that are allowed in addition to pages of this server, as "https://example.org"; "*"
  /// allows any. A page of this server has the host and port of Request::host(), and the scheme
  /// https if Request::is_secure(), http if not. Behind a proxy that is not in `trusted_proxies`,
  /// list the origins of the pages, because the server does not know their scheme and host.
  std::vector<std::string> allowed_origins{};
  /// Proxies that are believed: addresses and networks, as "127.0.0.1" or "10.0.0.0/8", and "unix:"
  /// for all peers of Unix sockets. The header fields of `trusted_header` set
  /// Request::remote_address(), is_secure() and host(), if they are from one of them: the client is
  /// the last address of the chain that is not listed, or the first one if all are. If the proxy
  /// does not tell the scheme, pages of both schemes pass the origin rule; if Host has no port, it
  /// compares only the names. See docs/guides/behind-a-proxy.md.
  std::vector<std::string> trusted_proxies{};
  TrustedHeader trusted_header = TrustedHeader::x_forwarded;
  ProxyProtocol proxy_protocol{};  ///< a PROXY header in front of each connection of these proxies
  std::optional<Deflate> deflate{};              ///< accepted compression; absent: none
  std::size_t max_unfinished_handshakes = 1024;  ///< beyond: the oldest ends, or accepting pauses
  std::size_t max_connections = 0;               ///< 0: RLIMIT_NOFILE - 64; beyond: 503
  PerAddress per_address{};
  std::size_t max_posted =
      LoopOptions{}.max_posted;  ///< like LoopOptions::max_posted, for each worker
  /// Like LoopOptions::max_posted_bytes, for each worker.
  std::size_t max_posted_bytes = LoopOptions{}.max_posted_bytes;
  TopicLimits topics{};
  bool share_port = false;  ///< other processes of this user may listen, too
  LogSink log{};
};

/// A request for a WebSocket that waits for its answer. Copyable. Only the first answer counts. If
/// the last copy is destroyed without an answer, the answer is 503. An answer does nothing when the
/// peer is gone. Thread: any.
class Upgrade {
 public:
  /// The request. Lifetime: until it is answered; keep a copy of the Upgrade until then.
  const Request& request() const noexcept;
  /// Answers 101. Right before, the session is constructed on the loop from the arguments.
  template <Session S, class... A>
  void accept(Accept accept = {}, A&&... arguments) const;
  /// The same with plain functions, for this connection only. on_message is required.
  void accept(Handlers handlers, Accept accept = {}) const;
  /// Answers in plain HTTP and ends the connection.
  void respond(Response response) const;
  /// Returns false if the work for an answer is in vain, like Exchange::is_open().
  bool is_open() const noexcept;

  /// For the server.
  explicit Upgrade(std::shared_ptr<server::PendingRequest> state) noexcept
      : state_(std::move(state)) {}

 private:
  using Construct = UniqueFunction<void(void*)>;
  void accept_session(Accept accept, const connection::SessionType& type,
                      Construct construct) const;

  std::shared_ptr<server::PendingRequest> state_;
};

/// Serves WebSocket routes and plain pages on one port until it is stopped.
///
/// The path of a route begins with '/', has no query, and is percent-encoded as clients do it. It
/// is compared as received, segment by segment and byte by byte. A segment {name} is a parameter:
/// it fits any segment that is not empty. {name...} at the end fits the rest of the path, whose
/// first segment is not empty. Request::parameter() returns the decoded values. If several paths
/// fit, a literal segment goes before a parameter, and a parameter before a rest, from left to
/// right: "/rooms/new" goes before "/rooms/{room}". The path is chosen first, then the method.
///
/// A path has at most one WebSocket, and one page for each method. If a path can never work, or two
/// paths fit the same requests, listen() fails and names it. A route that is added while run() runs
/// is ignored: that is logged, and the next run() returns it as an error. Thread: any for stop(),
/// drain(), is_ending(), reload_certificates(), counters(), port() and addresses(); routes are
/// added before run().
class Server {
 public:
  /// Opens only the descriptor that stop() writes to. Throws std::bad_alloc.
  explicit Server(ServerOptions options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Constructs an S for each connection to `path` from copies of the arguments (std::ref for
  /// shared state). If S takes a Request, it comes first. Lifetime of the Request: the constructor;
  /// a session copies the parts that it keeps.
  template <Session S, class... A>
  requires(!std::is_same_v<S, Handlers>) Server& route(std::string path, A&&... arguments);
  /// The same with options for the route.
  template <Session S, class... A>
  requires(!std::is_same_v<S, Handlers>) Server& route_with(Accept accept, std::string path,
                                                            A&&... arguments);
  /// Calls these functions for all connections to `path`. on_message is required.
  Server& route(std::string path, Handlers handlers, Accept accept = {});
  /// Calls `decide` for each proper upgrade request to `path`. It answers now or later.
  /// Thread: all workers call it at the same time.
  Server& route(std::string path, UniqueFunction<void(Upgrade)> decide);
  /// Answers GET requests to `path` that are not upgrades, of HTTP/1.1 and 1.0; HEAD requests, too,
  /// unless head() has a page for them. OPTIONS is answered with 204 and Allow, a method without a
  /// page with 405 and Allow. RFC 9110 §9.3, §15.5.6.
  ///
  /// `page` returns a Response, or takes an Exchange and answers now or later from any thread. A
  /// GET or HEAD request with a body is refused with 400. The pages of the other methods are called
  /// when the body is there: see Request::body(), Limits::max_body_bytes and Timeouts::body.
  /// Thread: all workers call `page` at the same time.
  Server& get(std::string path, PageFunction page);
  /// The same for other methods. The body of an answer to HEAD is not sent, only its length.
  Server& head(std::string path, PageFunction page);
  Server& post(std::string path, PageFunction page);
  Server& put(std::string path, PageFunction page);
  Server& patch(std::string path, PageFunction page);
  Server& del(std::string path, PageFunction page);  ///< DELETE
  /// Answers requests of all methods to paths without a route, also upgrades. The page chooses the
  /// status. Without a fallback they are answered with 404. The body of such a request is not read,
  /// and the answer to it ends the connection.
  /// Thread: all workers call `page` at the same time.
  Server& fallback(PageFunction page);
  /// Answers GET and HEAD requests at and behind `prefix` with the files of a folder, and other
  /// methods with 405. A prefix has no parameters. Routes go before files, and of several prefixes
  /// the longest one counts. If there is no such file, the answer is that of the fallback, or 404.
  /// No path leads out of the folder, by ".." or by a link. A link inside is followed if the kernel
  /// has openat2 (5.6). Only regular files are sent; a name that begins with a dot is not, except
  /// ".well-known". The answers have ETag and Last-Modified. Conditions are checked, and a Range is
  /// answered if it is one range of bytes. A file is read while the peer takes it, so its size does
  /// not matter. If it is changed meanwhile, the connection is reset. A descriptor is open for each
  /// file that is being sent; without one the answer is 503.
  /// listen() opens the folder and fails if there is none. RFC 9110 §13, §14.
  Server& files(std::string prefix, std::string folder, FilesOptions options = {});

  /// Sets the options of all topics. Call it before run().
  Server& topics(TopicOptions options);
  /// Sets the options of the topics with a name like `pattern`: a name, or the beginning of names
  /// and then '*'. Of several patterns that fit, the longest one counts. Call it before run().
  Server& topics(std::string pattern, TopicOptions options);
  /// Calls `function` when a topic has its first subscriber on this server, and when the last one
  /// has left. It is told the state, not each change: a change that is undone at once may go
  /// untold. Call it before run(). Thread: the first worker's loop, one call at a time.
  Server& on_topic(UniqueFunction<void(std::string_view topic, TopicEvent event)> function);
  /// Connects topics with those of other servers. Several bridges share the topics by pattern. The
  /// server owns the bridge. Call it before run(). If the options can never work, listen() fails.
  template <class B>
  requires std::is_base_of_v<Bridge, B> Server& bridge(B bridge, BridgeOptions options = {}) {
    return add_bridge(std::make_unique<B>(std::move(bridge)), std::move(options));
  }
  /// The same. Null: these topics stay on this server, although a shorter pattern fits them.
  Server& bridge(std::unique_ptr<Bridge> bridge, BridgeOptions options = {}) {
    return add_bridge(std::move(bridge), std::move(options));
  }
  /// Calls `function` when publications of a topic with subscribers here may be missing: once for
  /// each topic and outage. Each subscriber's session receives on_gap with 0. Call it before run().
  /// Thread: the first worker's loop, one call at a time.
  Server& on_bridge_gap(UniqueFunction<void(std::string_view topic, GapCause cause)> function);
  /// Calls `function` in the thread of each worker, before it accepts connections. Use it for
  /// timers and descriptors of your own. Call it before run().
  Server& on_worker_start(UniqueFunction<void(Loop&)> function);

  /// Publishes a message to all subscribers of a topic, on all workers. All subscribers receive the
  /// publications of a topic in one order. The messages that one thread sends and publishes reach
  /// each connection in the order of the calls. Publications of several threads to several topics
  /// have no order.
  /// Thread: any. It does not wait.
  PublishStatus publish(std::string_view topic, Message message, SendOptions options = {}) noexcept;
  PublishStatus publish(std::string_view topic, const SharedMessage& message,
                        SendOptions options = {}) noexcept;
  /// Returns a topic for frequent publications. If the name is not one (is_topic_name()), there are
  /// TopicLimits::max_topics already, or memory is out, the Topic is empty. Thread: any.
  Topic topic(std::string_view name) noexcept;
  /// The number of subscribers of a topic on all workers. Thread: any.
  std::size_t subscribers(std::string_view topic) const noexcept;

  /// Returns the last publication of a topic, as subscribers receive it (TopicOptions::format).
  /// Nothing if none is kept: see TopicOptions::history and history_age. Thread: any. Throws
  /// std::bad_alloc.
  std::optional<SharedMessage> retained(std::string_view topic) const;

  /// Calls `function` for each open connection of all workers, each in its loop, a part of them in
  /// each turn. Connections that begin meanwhile may be left out. Returns false if a worker does
  /// not take the call, because its mailbox is full, memory is out, or the server does not run.
  /// Thread: any; all workers call `function` at the same time.
  bool for_each(UniqueFunction<void(Connection&)> function) noexcept;
  /// Runs `function` in the loop of each worker, like Loop::post(). Returns false as for_each().
  /// Thread: any; all workers call `function` at the same time.
  bool post_all(UniqueFunction<void()> function) noexcept;

  /// Checks options and routes, binds and listens. run() does it as well if the server does not
  /// listen yet. A program that announces that it listens before it calls run() blocks the signals
  /// of stop_on itself, because a signal may come in between. A process may fork() between listen()
  /// and run(). Errors: options_invalid for the first option or route that can never work, which
  /// the message names; those of the system, with the address; those of reload_certificates();
  /// signal_in_use for a signal of stop_on that another server or loop of this process takes;
  /// no_memory.
  Result<void> listen() noexcept;
  /// Serves until it is stopped. The calling thread is the first worker. When it returns, every
  /// session has received its on_close, handles return false and the port is free. Then it may be
  /// called again; with port 0 the system chooses another port. Errors: those of listen() and of
  /// the loops; already_running; no_memory; EAGAIN and the like when a thread cannot be started
  /// ("start worker 2 of 4"), and then none serves.
  Result<void> run() noexcept;
  /// Stops accepting and closes all connections with this code and reason (see Drain). run()
  /// returns when they are gone, at the latest after the deadline. Of several calls the earliest
  /// end holds, and the code and the reason of the first. A call while run() does not run makes the
  /// next run() return at once. Thread: any; also from a signal handler.
  void stop(std::chrono::nanoseconds deadline = std::chrono::seconds(10),
            CloseCode code = CloseCode::going_away, std::string_view reason = {}) noexcept;
  /// Ends the server without loss, for one that is replaced.
  ///  - Open WebSockets are closed evenly over `how.spread`, the longest idle first: the one whose
  ///    last message came the longest ago.
  ///  - A request that has come, also to an Upgrade that waits for its answer, is answered. So are
  ///    the later requests of connections that exist; each of their answers ends its connection. An
  ///    upgrade that opens after the spread is closed at once.
  ///  - A socket that another program opened (Listener::descriptor), or that the parent of this
  ///    process opened, is left to other programs. It stays open, so its queue loses no connection.
  ///    From a socket of its own the server goes on to accept: it serves pages, and refuses
  ///    upgrades with 503.
  /// run() returns when no connection is left, at the latest after `how.deadline`. The first call
  /// holds; stop() ends it sooner. A call while run() does not run makes the next run() return at
  /// once. Thread: any; also from a signal handler, with a Drain that was made before.
  void drain(const Drain& how = {}) noexcept;
  /// Returns whether drain() or stop() was called, until run() returns: for a page that tells a
  /// load balancer to choose another server. Thread: any.
  bool is_ending() const noexcept;

  /// Reads the certificates, keys and CAs of ServerOptions::tls again. Connections that are
  /// accepted from now on use them; open ones keep theirs. If anything is wrong with them, the old
  /// ones stay in use. Thread: any. Errors: those of reading a file; tls_options_invalid, also
  /// without TLS. Throws std::bad_alloc.
  Result<void> reload_certificates();

  /// The port of the last listen(), of the first listener that has one; 0 before the first
  /// listen().
  std::uint16_t port() const noexcept;
  /// The places of the last listen() in the order of the listeners, for people: "127.0.0.1:9001",
  /// "[::1]:9001", "unix:/run/app.sock". Throws std::bad_alloc.
  std::vector<std::string> addresses() const;
  /// The counts since the server was made. Throws std::bad_alloc.
  Counters counters() const;
  /// The states of the bridges in the order of the calls of bridge(), for a page that tells the
  /// health. Thread: any. Throws std::bad_alloc.
  std::vector<BridgeStatus> bridges() const;

  /// For tern's own rooms.
  server::Core& core() noexcept { return *core_; }

 private:
  using Construct = UniqueFunction<void(void*, const Request&)>;
  Server& add_route(std::string path, Accept accept, const connection::SessionType& type,
                    Construct construct, bool reads_request);
  Server& add_bridge(std::unique_ptr<Bridge> bridge, BridgeOptions options);

  std::unique_ptr<server::Core> core_;
};

template <Session S, class... A>
void Upgrade::accept(Accept accept, A&&... arguments) const {
  static_assert(
      requires(std::decay_t<A> & ... each) { S(std::move(each)...); },
      "the session cannot be constructed from these arguments");
  std::tuple<std::decay_t<A>...> kept(std::forward<A>(arguments)...);
  accept_session(std::move(accept), connection::session_type<S>,
                 [kept = std::move(kept)](void* memory) mutable {
                   std::apply([&](auto&... each) { ::new (memory) S(std::move(each)...); }, kept);
                 });
}

template <Session S, class... A>
requires(!std::is_same_v<S, Handlers>) Server& Server::route(std::string path, A&&... arguments) {
  return route_with<S>({}, std::move(path), std::forward<A>(arguments)...);
}

template <Session S, class... A>
requires(!std::is_same_v<S, Handlers>) Server& Server::route_with(Accept accept, std::string path,
                                                                  A&&... arguments) {
  constexpr bool reads_request =
      std::is_constructible_v<S, const Request&, const std::decay_t<A>&...>;
  static_assert(
      reads_request || std::is_constructible_v<S, const std::decay_t<A>&...>,
      "the session cannot be constructed from copies of these arguments, with the Request "
      "before them or without");
  std::tuple<std::decay_t<A>...> kept(std::forward<A>(arguments)...);
  return add_route(
      std::move(path), std::move(accept), connection::session_type<S>,
      [kept = std::move(kept)](void* memory, const Request& request) {
        std::apply(
            [&](const auto&... each) {
              if constexpr (reads_request) {
                ::new (memory) S(request, each...);
              } else {
                ::new (memory) S(each...);
              }
            },
            kept);
      },
      reads_request);
}

}  // namespace tern
