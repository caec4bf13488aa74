// The link between the driver of a bridge and one connection of libnats. link.h says which thread
// reads and writes the socket.
#include "nats/link.h"

#include "nats/envelope.h"
#include "nats/library.h"
#include "nats/settings.h"
#include "nats/subject.h"
#include "net/event.h"
#include "net/socket.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <new>
#include <poll.h>
#include <utility>

namespace tern::nats {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds connect_time{5000};
constexpr milliseconds write_time{5000};  // the broker takes nothing for so long: it is lost
constexpr milliseconds pace_time{100};
constexpr milliseconds release_time{200};
constexpr std::size_t write_bytes = 64 << 10;  // of publications before the socket is written
constexpr std::uint64_t most_behind = 16'384;  // messages that libnats has read and not delivered
constexpr std::uint64_t most_behind_bytes = 16 << 20;
constexpr std::size_t most_servers = 64;

std::vector<ServerUrl> servers_of(const Options& options) {
  auto servers = parse_servers(options.servers);
  return servers ? std::move(*servers) : std::vector<ServerUrl>();
}

bool is_same(const ServerUrl& a, const ServerUrl& b) noexcept {
  return a.host == b.host && a.port == b.port;
}

Error lost(std::string_view why) { return Error::described(Errc::closed, why); }

}  // namespace

Link::Link(Options options) : options_(std::move(options)), servers_(servers_of(options_)) {}

Link::~Link() { close(); }

std::string Link::problem() const { return problem_of(options_); }

std::string Link::server_name(std::size_t server) const {
  return server < servers_.size() ? servers_[server].plain() : std::string();
}

// ---- the connection

Result<void> Link::connect(std::size_t server, bridge::LinkEvents& events) {
  if (server >= servers_.size()) return lost("no server");
  if (interrupted_) return Error::described(Errc::stopped, "stopped");
  if (auto opened = open_library(); !opened) return opened;
  session_ = std::make_shared<Session>(events);
  evented_ = !needs_tls(options_, servers_[server]);
  auto connected = attempts_.connect(options_, servers_[server], session_, connect_time);
  if (!connected) return connected.error();
  connection_ = std::move(connected->connection);
  native_options_ = std::move(connected->options);
  if (always_tell_origin_ && natsConnection_HasHeaderSupport(connection_.get()) != NATS_OK) {
    return lost("the server has no header fields, which Order::local_first needs");
  }
  headers_are_known_ = true;
  never_handled_ = 0;
  never_handled_bytes_ = 0;
  written_bytes_ = 0;

  natsStatistics* statistics = nullptr;
  if (natsStatistics_Create(&statistics) != NATS_OK) throw std::bad_alloc();
  statistics_.reset(statistics);
  natsInbox* inbox = nullptr;  // a unique name behind "_INBOX."
  if (natsInbox_Create(&inbox) != NATS_OK) throw std::bad_alloc();
  const std::string_view unique = std::string_view(inbox).substr(sizeof "_INBOX." - 1);
  probe_subject_ = options_.prefix.empty() ? std::string(inbox) : options_.prefix + "_probe.";
  if (!options_.prefix.empty()) probe_subject_ += unique;
  natsInbox_Destroy(inbox);
  probes_ = nats::subscribe(connection_.get(), probe_subject_, session_, {});
  if (probes_ == nullptr) return error_of(NATS_CONNECTION_CLOSED);
  learn_servers();
  return {};
}

// The other servers of the cluster.
void Link::learn_servers() {
  char** urls = nullptr;
  int count = 0;
  if (natsConnection_GetDiscoveredServers(connection_.get(), &urls, &count) != NATS_OK) return;
  for (int i = 0; i < count; ++i) {
    auto server = parse_server_url(urls[i]);
    std::free(urls[i]);
    if (!server || servers_.size() >= most_servers) continue;
    const auto known = [&](const ServerUrl& each) { return is_same(each, *server); };
    if (std::ranges::any_of(servers_, known)) continue;
    const ServerUrl& first = servers_.front();
    server->secure = first.secure;
    server->user = first.user, server->password = first.password, server->token = first.token;
    servers_.push_back(std::move(*server));
  }
  std::free(urls);
}

// A socket that is closed while unread bytes wait in it is reset. Then the broker may lose the
// bytes that it has not read yet. So this ends the sending, and reads until the broker has closed,
// too.
void Link::end_sending() noexcept {
  const int socket = session_->socket.get();
  if (unwritten() > 0) return;
  net::shutdown_write(socket);
  const auto end = std::chrono::steady_clock::now() + release_time;
  for (;;) {
    const auto left =
        std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd wanted{socket, POLLIN, 0};
    if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(left)) <= 0) return;
    if (!net::drop_input(socket)) return;
  }
}

// Threads of libnats may free the last of the connection. They must not do it while the process
// ends, because OpenSSL ends then, too. So this waits for them, and the options keep the
// certificates meanwhile.
void Link::close() noexcept {
  if (session_) session_->end();
  if (connection_) {
    if (evented_) {
      write_socket();  // otherwise libnats would wait for a PONG that no thread reads
      if (!natsConnection_IsClosed(connection_.get())) end_sending();
    }
    natsConnection_Close(connection_.get());
  }
  for (const auto& [topic, subscription] : subscriptions_) natsSubscription_Destroy(subscription);
  subscriptions_.clear();
  natsSubscription_Destroy(std::exchange(probes_, nullptr));
  connection_.reset();
  if (session_) session_->wait_released(release_time);
  session_.reset();
  interrupted_ = false;
}

void Link::interrupt() noexcept {
  interrupted_ = true;
  attempts_.interrupt();
}

Result<void> Link::check_connection() const {
  if (!natsConnection_IsClosed(connection_.get())) {
    const bool elsewhere = servers_.size() > 1;  // otherwise it stays to the end
    if (elsewhere && session_->will_stop()) return lost("the server stops soon (lame duck)");
    return {};
  }
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection_.get(), &text);
  if (text != nullptr && *text != '\0') return lost(text);
  return status == NATS_OK ? lost("the connection is closed") : error_of(status);
}

// ---- subscriptions

Result<void> Link::subscribe(std::span<const std::string_view> topics) {
  for (std::string_view topic : topics) {
    const auto [place, is_new] = subscriptions_.try_emplace(std::string(topic), nullptr);
    if (!is_new) continue;
    place->second = nats::subscribe(connection_.get(), subject_of(options_.prefix, topic), session_,
                                    std::string(topic));
    if (place->second != nullptr) continue;
    subscriptions_.erase(place);
    return error_of(NATS_CONNECTION_CLOSED);
  }
  return check_connection();
}

Result<void> Link::unsubscribe(std::span<const std::string_view> topics) {
  for (std::string_view topic : topics) {
    const auto place = subscriptions_.find(topic);
    if (place == subscriptions_.end()) continue;
    natsSubscription_Destroy(place->second);
    subscriptions_.erase(place);
  }
  return check_connection();
}

// ---- publications

bool Link::has_header(const SharedMessage& message, const Origin& origin) const noexcept {
  if (options_.envelope == Envelope::none || !headers_are_known_) return false;
  return always_tell_origin_ || origin.connection != 0 || !message.message().is_text();
}

natsStatus Link::publish_with_header(const Message& message, const Origin& origin) {
  natsMsg* made = nullptr;
  natsStatus status = natsMsg_Create(&made, subject_.c_str(), nullptr, message.text().data(),
                                     static_cast<int>(message.size()));
  if (status != NATS_OK) return status;
  if (always_tell_origin_ || origin.connection != 0) {
    status = natsMsgHeader_Set(made, origin_field, OriginText(origin).c_str());
  }
  if (status == NATS_OK && !message.is_text()) {
    status = natsMsgHeader_Set(made, type_field, binary_type);
  }
  if (status == NATS_OK) status = natsConnection_PublishMsg(connection_.get(), made);
  natsMsg_Destroy(made);
  return status;
}

Result<void> Link::publish(std::string_view topic, const SharedMessage& message,
                           const Origin& origin) {
  const Message payload = message.message();
  subject_ = subject_of(options_.prefix, topic);
  natsStatus status = NATS_MAX_PAYLOAD;
  if (payload.size() <= INT_MAX) {
    status = has_header(message, origin)
                 ? publish_with_header(payload, origin)
                 : natsConnection_Publish(connection_.get(), subject_.c_str(),
                                          payload.text().data(), static_cast<int>(payload.size()));
  }
  return judge_publication(status, topic, message);
}

Result<void> Link::judge_publication(natsStatus status, std::string_view topic,
                                     const SharedMessage& message) {
  if (status == NATS_OK) {
    written_bytes_ += message.message().size();
    if (evented_ && written_bytes_ >= write_bytes) write_socket();
    return {};
  }
  if (status == NATS_NO_MEMORY) throw std::bad_alloc();
  if (status != NATS_MAX_PAYLOAD && status != NATS_NO_SERVER_SUPPORT) {
    return natsConnection_IsClosed(connection_.get()) ? check_connection() : error_of(status);
  }
  const bool too_big = status == NATS_MAX_PAYLOAD;
  if (!too_big) headers_are_known_ = false;
  session_->with_events([&](bridge::LinkEvents& events) {
    if (too_big) {
      events.on_refused("max_payload of the server is less than a publication has");
    } else {
      events.log(LogLevel::warning,
                 "the server has no header fields, so publications are sent without their origin");
    }
    events.on_gap(topic, GapCause::lost);
  });
  return {};
}

Result<void> Link::ping() { return probe_with(ping_payload); }

Result<void> Link::probe() { return probe_with(probe_payload); }

Result<void> Link::probe_with(std::string_view payload) {
  const natsStatus status = natsConnection_Publish(
      connection_.get(), probe_subject_.c_str(), payload.data(), static_cast<int>(payload.size()));
  if (status != NATS_OK) return error_of(status);
  return flush();
}

// ---- the socket

std::size_t Link::unwritten() const noexcept {
  const int bytes = natsConnection_Buffered(connection_.get());
  return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

void Link::write_socket() {
  written_bytes_ = 0;
  if (session_->wants_write || unwritten() > 0) natsConnection_ProcessWriteEvent(connection_.get());
}

// While it waits for room in the socket, it reads: a broker cuts a client that does not.
Result<void> Link::flush() {
  if (!evented_) return check_connection();
  const auto end = std::chrono::steady_clock::now() + write_time;
  write_socket();
  while (unwritten() > 0) {
    if (auto checked = check_connection(); !checked) return checked;
    if (std::chrono::steady_clock::now() >= end) return lost("it takes no publications");
    if (interrupted_) return Error::described(Errc::stopped, "stopped");
    pollfd wanted{session_->socket.get(), POLLIN | POLLOUT, 0};
    ::poll(&wanted, 1, 100);
    if ((wanted.revents & ~POLLOUT) != 0) read_socket();
    write_socket();
  }
  return check_connection();
}

Result<void> Link::poll(int wake, milliseconds timeout) {
  if (auto checked = check_connection(); !checked) return checked;
  const short more = session_->wants_write ? POLLOUT : 0;
  pollfd wanted[] = {
      {wake, POLLIN, 0},
      {session_->event(), POLLIN, 0},
      {evented_ ? session_->socket.get() : -1, static_cast<short>(POLLIN | more), 0}};
  const int ready = ::poll(wanted, std::size(wanted), static_cast<int>(timeout.count()));
  if (ready > 0 && evented_) {
    if ((wanted[2].revents & ~POLLOUT) != 0) read_socket();
    write_socket();  // an answer to the broker's PING, too
  }
  if (wanted[1].revents != 0) net::clear_event(session_->event());
  return check_connection();
}

void Link::read_socket() {
  natsConnection_ProcessReadEvent(connection_.get());
  session_->with_events([](bridge::LinkEvents& events) { events.on_alive(); });
  keep_pace();
}

// libnats puts what it reads into a list without a bound for all topics, and another thread
// delivers. That thread never waits, so this one waits for it. Messages of topics that were
// unsubscribed meanwhile are counted as read and never delivered: if nothing is delivered in time,
// all that are behind are taken for such.
void Link::keep_pace() {
  std::uint64_t read = 0;
  std::uint64_t bytes = 0;
  std::uint64_t ignored = 0;
  if (natsConnection_GetStats(connection_.get(), statistics_.get()) != NATS_OK) return;
  natsStatistics_GetCounts(statistics_.get(), &read, &bytes, &ignored, &ignored, &ignored);
  const std::uint64_t handled = session_->handled();
  const std::uint64_t handled_bytes = session_->handled_bytes();
  if (read <= handled + never_handled_) {
    never_handled_ = read - std::min(read, handled);
    never_handled_bytes_ = bytes - std::min(bytes, handled_bytes);
    return;
  }
  const std::uint64_t behind = read - handled - never_handled_;
  const bool too_many = behind >= most_behind;
  const bool too_large = bytes >= handled_bytes + never_handled_bytes_ + most_behind_bytes;
  if (!too_many && !too_large) return;
  session_->wait_handled(handled + behind / 2 + 1, pace_time);
  if (session_->handled() == handled) never_handled_ = read - handled;
}

}  // namespace tern::nats
