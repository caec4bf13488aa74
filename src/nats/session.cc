// The order in which libnats uses a reference tells who may free it. Its callbacks of a connection
// come from one thread, and the one for the end is the last. A callback before the connection is up
// checks that and does not touch the reference. The callbacks of a subscription come from one
// thread, too, and the one for its end is the last.
#include "nats/session.h"

#include "nats/envelope.h"
#include "nats/library.h"
#include "net/event.h"
#include "net/socket.h"

#include <new>
#include <system_error>
#include <utility>

namespace tern::nats {

Session::Session(bridge::LinkEvents& events) : events_(&events) {
  net::Opened opened = net::open_event();
  if (!opened.fd) throw std::bad_alloc();  // no descriptors: the driver tries again later
  event_ = std::move(opened.fd);
}

void Session::end() noexcept {
  const std::lock_guard lock(mutex_);
  events_ = nullptr;
}

void Session::tell_will_stop() noexcept {
  will_stop_ = true;
  net::signal_event(event_.get());
}

void Session::tell_closed() noexcept { net::signal_event(event_.get()); }

void Session::count_handled(std::size_t bytes) noexcept {
  handled_bytes_.fetch_add(bytes);
  handled_.fetch_add(1);
  if (!someone_waits_.load()) return;
  const std::lock_guard lock(counts_mutex_);
  counts_changed_.notify_all();
}

bool Session::wait_handled(std::uint64_t target, std::chrono::milliseconds most) noexcept {
  if (handled_.load() >= target) return true;
  std::unique_lock lock(counts_mutex_);
  someone_waits_.store(true);
  const bool reached =
      counts_changed_.wait_for(lock, most, [&] { return handled_.load() >= target; });
  someone_waits_.store(false);
  return reached;
}

void Session::add_reference() noexcept {
  const std::lock_guard lock(counts_mutex_);
  ++references_;
}

void Session::drop_reference() noexcept {
  const std::lock_guard lock(counts_mutex_);
  --references_;
  counts_changed_.notify_all();
}

void Session::wait_released(std::chrono::milliseconds most) noexcept {
  std::unique_lock lock(counts_mutex_);
  counts_changed_.wait_for(lock, most, [&] { return references_ == 0; });
}

namespace {

// The reference of a closure that libnats has.
class Reference {
 public:
  explicit Reference(std::shared_ptr<Session> session) noexcept : session_(std::move(session)) {
    session_->add_reference();
  }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;
  ~Reference() { session_->drop_reference(); }

  Session& operator*() const noexcept { return *session_; }
  Session* operator->() const noexcept { return session_.get(); }

 private:
  std::shared_ptr<Session> session_;
};

}  // namespace

// ---- callbacks of a connection

struct Callbacks {
  explicit Callbacks(std::shared_ptr<Session> given) noexcept : session(std::move(given)) {}

  Reference session;
};

namespace {

Session& session_of(void* callbacks) noexcept {
  return *static_cast<Callbacks*>(callbacks)->session;
}

// If the attempt failed, the reference is gone.
bool is_up(natsConnection* connection) noexcept {
  return natsConnection_Status(connection) != NATS_CONN_STATUS_CONNECTING &&
         natsConnection_Status(connection) != NATS_CONN_STATUS_DISCONNECTED;
}

void on_lame_duck(natsConnection* connection, void* callbacks) noexcept {
  if (is_up(connection)) session_of(callbacks).tell_will_stop();
}

void on_closed(natsConnection*, void* callbacks) noexcept {
  session_of(callbacks).tell_closed();
  release_callbacks(static_cast<Callbacks*>(callbacks));
}

void on_error(natsConnection* connection, natsSubscription*, natsStatus error,
              void* callbacks) noexcept {
  if (!is_up(connection)) return;
  session_of(callbacks).with_events([&](bridge::LinkEvents& events) {
    if (error == NATS_SLOW_CONSUMER) return events.on_gap({}, GapCause::too_slow);
    const char* text = nullptr;
    natsConnection_GetLastError(connection, &text);
    const std::string_view why = text != nullptr ? text : natsStatus_GetText(error);
    const bool refuses = error == NATS_NOT_PERMITTED && why.find("ublish") != why.npos;
    if (refuses) return events.on_refused(why);
    events.log(LogLevel::warning, why);
  });
}

natsStatus on_attach(void** data, void* callbacks, natsConnection*, natsSock socket) noexcept {
  *data = callbacks;
  net::Opened copy = net::duplicate(socket);
  if (!copy.fd) return NATS_SYS_ERROR;
  session_of(callbacks).socket = std::move(copy.fd);
  return NATS_OK;
}

natsStatus on_read(void*, bool) noexcept { return NATS_OK; }

natsStatus on_write(void* callbacks, bool add) noexcept {
  session_of(callbacks).wants_write = add;
  return NATS_OK;
}

natsStatus on_detach(void*) noexcept { return NATS_OK; }

}  // namespace

void release_callbacks(Callbacks* callbacks) noexcept { delete callbacks; }

Result<Callbacks*> set_callbacks(natsOptions* options, std::shared_ptr<Session> session,
                                 bool evented) {
  auto callbacks = std::make_unique<Callbacks>(std::move(session));
  Callbacks* const raw = callbacks.get();
  natsStatus set = natsOptions_SetClosedCB(options, on_closed, raw);
  if (set == NATS_OK) set = natsOptions_SetLameDuckModeCB(options, on_lame_duck, raw);
  if (set == NATS_OK) set = natsOptions_SetErrorHandler(options, on_error, raw);
  if (set == NATS_OK && evented) {
    set = natsOptions_SetEventLoop(options, raw, on_attach, on_read, on_write, on_detach);
  }
  if (set != NATS_OK) return error_of(set);
  return callbacks.release();
}

// ---- callbacks of a subscription

namespace {

struct Subscription {
  Subscription(std::shared_ptr<Session> given, std::string name) noexcept
      : session(std::move(given)), topic(std::move(name)) {}

  Reference session;
  std::string topic;  // empty: pings and probes
};

std::string_view payload_of(const natsMsg* message) noexcept {
  const int size = natsMsg_GetDataLength(message);
  return {natsMsg_GetData(message), static_cast<std::size_t>(size > 0 ? size : 0)};
}

std::string_view field_of(natsMsg* message, const char* name) noexcept {
  const char* value = nullptr;
  const bool found = natsMsgHeader_Get(message, name, &value) == NATS_OK && value != nullptr;
  return found ? std::string_view(value) : std::string_view();
}

void deliver(const Subscription& subscription, natsMsg* message,
             bridge::LinkEvents& events) noexcept {
  const std::string_view payload = payload_of(message);
  if (subscription.topic.empty()) {
    return payload == probe_payload ? events.on_probe() : events.on_alive();
  }
  const Origin origin = parse_origin(field_of(message, origin_field)).value_or(Origin());
  const bool binary = field_of(message, type_field) == binary_type;
  const auto type = binary ? MessageType::binary : MessageType::text;
  events.on_publication(subscription.topic, Message(type, payload), origin);
}

void on_message(natsConnection*, natsSubscription*, natsMsg* message, void* closure) noexcept {
  const Subscription& subscription = *static_cast<const Subscription*>(closure);
  subscription.session->with_events(
      [&](bridge::LinkEvents& events) { deliver(subscription, message, events); });
  const std::size_t bytes = payload_of(message).size();
  natsMsg_Destroy(message);
  subscription.session->count_handled(bytes);
}

void on_complete(void* closure) noexcept { delete static_cast<Subscription*>(closure); }

}  // namespace

natsSubscription* subscribe(natsConnection* connection, const std::string& subject,
                            std::shared_ptr<Session> session, std::string topic) {
  auto closure = std::make_unique<Subscription>(std::move(session), std::move(topic));
  natsSubscription* made = nullptr;
  const auto done =
      natsConnection_Subscribe(&made, connection, subject.c_str(), on_message, closure.get());
  if (done != NATS_OK) return nullptr;
  // If the connection ended meanwhile, this fails. A message may still be on its way then, so the
  // memory stays.
  natsSubscription_SetOnCompleteCB(made, on_complete, closure.release());
  return made;
}

}  // namespace tern::nats
