// The beginning and the end of a connection.
#include "redis/command.h"
#include "redis/link.h"
#include "redis/script.h"

#include <algorithm>
#include <new>
#include <span>
#include <utility>

namespace tern::redis {
namespace {

constexpr std::chrono::milliseconds longest_goodbye{250};

Error refuse(std::string_view what, const redisReply& reply) {
  return Error::described(std::make_error_code(std::errc::permission_denied),
                          std::string(what).append(": ").append(text_of(reply)));
}

// The line "run_id:…" of INFO. It is another one after each start of the server.
std::string run_of(std::string_view info) {
  constexpr std::string_view name = "\nrun_id:";
  const std::size_t at = info.find(name);
  if (at == info.npos) return {};
  const std::string_view rest = info.substr(at + name.size());
  return std::string(rest.substr(0, std::min<std::size_t>(rest.find_first_of("\r\n"), 16)));
}

}  // namespace

Result<void> Link::connect(std::size_t server, bridge::LinkEvents& events) {
  Patience patience{.deadline = Clock::now() + settings_.connect_timeout};
  {
    const std::lock_guard lock(stop_mutex_);
    patience.stop = stop_.get_token();
  }
  events_ = &events;
  const Address& address = settings_.addresses[server];
  for (Wire* const wire : {&commands_, &subscriber_}) {
    if (auto opened = wire->open(address, patience); !opened) return opened;
    if (auto done = log_in(*wire, address, patience); !done) return done;
  }
  auto prepared = prepare(address, patience);
  is_ready_ = prepared.has_value();
  return prepared;
}

Result<void> Link::log_in(Wire& wire, const Address& address, const Patience& patience) {
  if (address.password.empty() && address.username.empty()) return {};
  const auto reply = address.username.empty()
                         ? wire.ask({"AUTH", address.password}, patience)
                         : wire.ask({"AUTH", address.username, address.password}, patience);
  if (!reply) return reply.error();
  if (is_error(**reply)) return refuse("it refuses the user or the password", **reply);
  return {};
}

Result<void> Link::prepare(const Address& address, const Patience& patience) {
  // A user may have no right to ask for the role.
  const auto role = commands_.ask({"ROLE"}, patience);
  if (!role) return role.error();
  if (is_error(**role) && text_of(**role).starts_with("NOAUTH")) {
    return refuse("it wants a password", **role);
  }
  asks_role_ = !is_error(**role);
  role_asked_at_ = Clock::now();
  if (is_replica(**role)) {
    return Error::described(std::make_error_code(std::errc::connection_refused),
                            "it is a replica, which cannot publish for its primary");
  }
  if (address.database != 0) {
    const auto chosen = commands_.ask({"SELECT", std::to_string(address.database)}, patience);
    if (!chosen) return chosen.error();
    if (is_error(**chosen)) return refuse("it has no such database", **chosen);
  }
  if (settings_.history) {
    if (auto loaded = load_scripts(patience); !loaded) return loaded;
  }
  // No topic has a control character, so this is the channel of no topic.
  probe_channel_ = settings_.prefix + "\x1fprobe:" + draw_number();
  const auto subscribed = subscriber_.ask({"SUBSCRIBE", probe_channel_}, patience);
  if (!subscribed) return subscribed.error();
  if (is_error(**subscribed)) return refuse("it refuses to subscribe", **subscribed);
  return {};
}

Result<void> Link::load_scripts(const Patience& patience) {
  const auto info = commands_.ask({"INFO", "server"}, patience);
  if (!info) return info.error();
  run_ = run_of(text_of(**info));
  for (const auto& [script, sha] :
       {std::pair(publish_script, &publish_sha_), std::pair(read_script, &read_sha_)}) {
    const auto loaded = commands_.ask({"SCRIPT", "LOAD", script}, patience);
    if (!loaded) return loaded.error();
    if (is_error(**loaded)) return refuse("it refuses the scripts of the durable mode", **loaded);
    *sha = text_of(**loaded);
  }
  return {};
}

// Never 0.
std::string Link::draw_number() {
  std::uint64_t number = 0;
  while (number == 0) {
    if (random_.fill(std::as_writable_bytes(std::span(&number, 1)))) {
      number = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    }
  }
  return std::to_string(number);
}

// ---- the end

// A socket that is closed while answers arrive resets the connection, and the server may then drop
// commands that it has not read.
void Link::say_goodbye() noexcept {
  const auto until = Clock::now() + longest_goodbye;
  try {
    while (!expected_.empty() && !is_stopping() && Clock::now() < until) {
      if (!exchange({}, std::chrono::milliseconds(10))) return;
    }
  } catch (const std::bad_alloc&) {  // what is left is lost
  }
}

void Link::tell_unanswered() noexcept {
  std::uint64_t count = 0;
  for (const auto* const all : {&expected_, &missed_, &behind_}) {
    count += static_cast<std::uint64_t>(
        std::ranges::count(*all, Expected::Kind::publication, &Expected::kind));
  }
  if (count == 0 || events_ == nullptr) return;
  try {
    events_->log(LogLevel::warning, "redis: the connection ended before " + std::to_string(count) +
                                        " publications were confirmed, so they may be lost");
  } catch (const std::bad_alloc&) {  // the line is lost, too
  }
}

void Link::close() noexcept {
  if (is_ready_) say_goodbye();
  tell_unanswered();
  subscriber_.close();
  commands_.close();
  gate_.clear();
  echoes_.clear();
  subscribing_.clear();
  expected_.clear();
  missed_.clear();
  behind_.clear();
  kept_bytes_ = 0;
  asked_.clear();
  held_bytes_ = 0;
  answered_.clear();
  answered_bytes_ = 0;
  told_refused_ = told_foreign_ = is_ready_ = false;
  events_ = nullptr;
  const std::lock_guard lock(stop_mutex_);
  if (!stop_.stop_requested()) return;
  try {
    stop_ = std::stop_source();
  } catch (const std::bad_alloc&) {  // the next connection fails, and close() tries again
  }
}

void Link::interrupt() noexcept {
  const std::lock_guard lock(stop_mutex_);
  stop_.request_stop();
}

bool Link::is_stopping() noexcept {
  const std::lock_guard lock(stop_mutex_);
  return stop_.stop_requested();
}

}  // namespace tern::redis
