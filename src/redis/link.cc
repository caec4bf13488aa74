// Commands on the way to a server. Answers and notifications: link_events.cc; the beginning and the
// end of a connection: link_connect.cc.
#include "redis/link.h"

#include "redis/command.h"
#include "redis/envelope.h"

#include <algorithm>
#include <array>
#include <poll.h>
#include <utility>

namespace tern::redis {
namespace {

using std::chrono::milliseconds;

// Beyond these bounds the link waits for the server, so that publications wait in the bounded queue
// of the bridge, and few are lost with a connection.
constexpr std::size_t max_unsent = std::size_t{256} << 10;
constexpr std::size_t max_unanswered = 10'000;
// Of raw publications that have not come back. They are kept until then.
constexpr std::size_t max_echo_bytes = std::size_t{8} << 20;
// Of commands that run a script. They are kept until they are answered.
constexpr std::size_t max_kept_bytes = std::size_t{8} << 20;

constexpr milliseconds longest_wait = std::chrono::seconds(5);
constexpr milliseconds longest_silence = std::chrono::seconds(10);

// The most bytes of one answer to a question for a history.
constexpr std::string_view history_bytes = "8388608";

}  // namespace

Link::Link(const Options& options, milliseconds role_interval) : role_interval_(role_interval) {
  auto settings = Settings::from(options);
  if (settings) {
    settings_ = *std::move(settings);
  } else {
    problem_ = settings.error().message();
    settings_.addresses.emplace_back();
  }
}

std::string Link::server_name(std::size_t server) const {
  return settings_.addresses[server].name();
}

// ---- commands

// All commands but subscriptions go through the gate, so their answers come in the order in which
// they are expected.
void Link::send(std::initializer_list<std::string_view> words, Expected expected) {
  command_.clear();
  append_command(command_, words);
  if (*words.begin() == "EVALSHA") {
    expected.command = command_;
    kept_bytes_ += command_.size();
    if (!missed_.empty()) return behind_.push_back(std::move(expected));
  }
  pass(std::move(expected), command_);
}

void Link::pass(Expected expected, std::string_view command) {
  if (expected_.empty()) answered_at_ = Clock::now();
  expected_.push_back(std::move(expected));
  gate_.pass(command, commands_.output());
}

Result<void> Link::subscribe(std::span<const std::string_view> topics) {
  if (!has_envelope()) {
    for (const std::string_view topic : topics) echoes_.want(topic);
  }
  gate_.add_subscriptions(topics.size());
  send_subscribe({topics.begin(), topics.end()});
  return {};
}

void Link::send_subscribe(std::vector<std::string> topics) {
  std::vector<std::string> channels;
  channels.reserve(topics.size());
  for (const std::string& topic : topics) channels.push_back(settings_.channel_of(topic));
  std::vector<std::string_view> words{"SUBSCRIBE"};
  words.insert(words.end(), channels.begin(), channels.end());
  append_command(subscriber_.output(), words);
  subscribing_.push_back({std::move(topics)});
}

Result<void> Link::unsubscribe(std::span<const std::string_view> topics) {
  std::vector<std::string> channels;
  channels.reserve(topics.size());
  for (const std::string_view topic : topics) channels.push_back(settings_.channel_of(topic));
  std::vector<std::string_view> words{"UNSUBSCRIBE"};
  words.insert(words.end(), channels.begin(), channels.end());
  append_command(subscriber_.output(), words);
  for (const std::string_view topic : topics) echoes_.unwant(topic);
  return {};
}

Result<void> Link::publish(std::string_view topic, const SharedMessage& message,
                           const Origin& origin) {
  std::string_view payload = message.message().text();
  if (has_envelope()) {
    body_.clear();
    append_envelope(body_, message.message(), origin);
    payload = body_;
  }
  const std::string channel = settings_.channel_of(topic);
  if (settings_.history) {
    const History& history = *settings_.history;
    send({"EVALSHA", publish_sha_, "2", settings_.stream_of(topic), settings_.position_of(topic),
          channel, payload, draw_number(), run_, std::to_string(history.count),
          std::to_string(history.age.count()), std::to_string(history.position_age.count())},
         {.kind = Expected::Kind::publication});
  } else {
    const Echoes::Place echo =
        has_envelope() ? Echoes::Place() : echoes_.add(topic, message, origin);
    send({"PUBLISH", channel, payload}, {.kind = Expected::Kind::publication, .echo = echo});
  }
  return is_crowded() ? flush() : Result<void>();
}

Result<void> Link::history(std::string_view topic, Position after, std::size_t count) {
  if (!settings_.history) return {};
  send({"EVALSHA", read_sha_, "2", settings_.stream_of(topic), settings_.position_of(topic),
        draw_number(), run_, std::to_string(settings_.history->position_age.count()),
        std::to_string(after.epoch), std::to_string(after.offset), std::to_string(count),
        history_bytes},
       {.kind = Expected::Kind::history, .topic = std::string(topic)});
  ++asked_[std::string(topic)].questions;
  return {};
}

// Both connections are asked. The driver hears the one that subscribes, and poll() judges the other
// one.
Result<void> Link::ping() {
  append_command(subscriber_.output(), {"PING"});
  send({"PING"}, {.kind = Expected::Kind::other});
  return flush();
}

Result<void> Link::probe() {
  send({"PUBLISH", probe_channel_, "probe"}, {.kind = Expected::Kind::other});
  return flush();
}

// ---- waiting

std::size_t Link::waiting_bytes() const noexcept {
  return commands_.unsent() + gate_.bytes() + subscriber_.unsent();
}

bool Link::is_crowded() const noexcept {
  return waiting_bytes() > max_unsent || expected_.size() > max_unanswered ||
         kept_bytes_ > max_kept_bytes || echoes_.bytes() > max_echo_bytes;
}

// A server that is slow and goes on is waited for again in the next call.
Result<void> Link::flush() {
  const auto until = Clock::now() + longest_wait;
  const std::size_t bytes = waiting_bytes();
  const std::size_t unanswered = expected_.size();
  const std::size_t kept = kept_bytes_;
  const std::size_t echoes = echoes_.bytes();
  if (auto sent = subscriber_.write(); !sent) return sent;
  if (auto sent = commands_.write(); !sent) return sent;
  while (is_crowded()) {
    if (auto moved = exchange({}, milliseconds(50)); !moved) return moved;
    if (is_stopping()) return Errc::stopped;
    if (Clock::now() < until) continue;
    if (waiting_bytes() < bytes || expected_.size() < unanswered || kept_bytes_ < kept ||
        echoes_.bytes() < echoes) {
      return {};
    }
    return Error::described(Errc::timed_out, "it does not take what is published");
  }
  return {};
}

// A server can become a replica without an error: PUBLISH works on a replica, and reaches only the
// subscribers there.
void Link::ask_role() {
  if (!asks_role_ || Clock::now() - role_asked_at_ < role_interval_) return;
  role_asked_at_ = Clock::now();
  send({"ROLE"}, {.kind = Expected::Kind::role});
}

Result<void> Link::poll(int wake, milliseconds timeout) {
  ask_role();
  if (auto moved = exchange(wake, timeout); !moved) return moved;
  if (!expected_.empty() && Clock::now() - answered_at_ > longest_silence) {
    return Error::described(Errc::timed_out, "it does not answer commands");
  }
  return {};
}

// Waits, sends and reads.
Result<void> Link::exchange(std::optional<int> wake, milliseconds timeout) {
  Result<void> moved = move(wake, timeout);
  if (!moved) is_ready_ = false;
  return moved;
}

Result<void> Link::move(std::optional<int> wake, milliseconds timeout) {
  if (auto sent = subscriber_.write(); !sent) return sent;
  if (auto sent = commands_.write(); !sent) return sent;
  const auto events = [](const Wire& wire) {
    return static_cast<short>(wire.unsent() > 0 ? POLLIN | POLLOUT : POLLIN);
  };
  std::array<pollfd, 3> polled{pollfd{subscriber_.fd(), events(subscriber_), 0},
                               pollfd{commands_.fd(), events(commands_), 0},
                               pollfd{wake.value_or(-1), POLLIN, 0}};
  if (::poll(polled.data(), polled.size(), static_cast<int>(timeout.count())) <= 0) return {};
  // A confirmation in the first opens the gate of the second.
  if (polled[0].revents != 0) {
    if (auto read = read_pushes(); !read) return read;
  }
  if (polled[1].revents != 0) {
    if (auto read = read_answers(); !read) return read;
  }
  if (auto sent = subscriber_.write(); !sent) return sent;
  return commands_.write();
}

}  // namespace tern::redis
