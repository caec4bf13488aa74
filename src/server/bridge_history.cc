// The history of a durable bridge. A question for it has two purposes: subscribers begin with older
// publications, or publications are missing between the topic's newest one and one that came. A
// topic has one question at a time, so a thousand clients that come back at once ask the broker
// once. While a hole is being filled, later publications are held.
#include "connection/publishing.h"
#include "server/bridge_line.h"
#include "topics/topic_state.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::server {

using topics::Placed;
using topics::TopicRef;
using topics::TopicState;

namespace {

// The most that a hole may have, and that may be held behind it.
constexpr std::size_t max_hole = 1024;
constexpr std::size_t max_held_bytes = std::size_t{8} << 20;

// The offset of the first publication of an answer; that after the last one if it has none.
std::uint64_t first_of(const BridgeHistory& answer) noexcept {
  return answer.last.offset + 1 -
         std::min<std::uint64_t>(answer.publications.size(), answer.last.offset);
}

}  // namespace

// ---- questions

bool BridgeLine::ask(TopicState& topic, Position after) noexcept {
  const auto newest = topic.numbered();
  if (newest && newest->epoch == after.epoch) after.offset = std::min(after.offset, newest->offset);
  return send_question(topic, after, false, GapCause::lost);
}

// Returns whether there was one. Throws std::bad_alloc.
bool BridgeLine::join_question(TopicState& topic, Position after, bool heals, GapCause cause) {
  topic.retain();
  TopicRef share(&topic);
  const std::lock_guard lock(mutex_);
  const auto [found, made] = questions_.try_emplace(topic.name());
  Question& question = found->second;
  if (made) {
    question.topic = std::move(share);
    question.after = after;
  }
  if (heals && !question.heals) {
    question.heals = true;
    question.cause = cause;
    healing_.fetch_add(1, std::memory_order_relaxed);
  }
  if (!heals) question.fills = true;
  return !made;
}

bool BridgeLine::send_question(TopicState& topic, Position after, bool heals,
                               GapCause cause) noexcept {
  if (!runs_.load(std::memory_order_relaxed) || state_.load() != BridgeState::up) return false;
  try {
    if (join_question(topic, after, heals, cause)) return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
  const std::size_t kept = topic.options().history;
  if (bridge_->history(topic.name(), after, heals ? std::max(kept, max_hole) : kept)) {
    owner_->wake();  // it sets the time at which the question has failed
    return true;
  }
  static_cast<void>(take_question(topic.name()));
  return false;
}

std::optional<BridgeLine::Question> BridgeLine::take_question(std::string_view topic) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = questions_.find(topic);
  if (found == questions_.end()) return {};
  Question question = std::move(found->second);
  questions_.erase(found);
  held_bytes_ -= question.held_bytes;
  if (question.heals) healing_.fetch_sub(1, std::memory_order_relaxed);
  return question;
}

BridgeLine::TimePoint BridgeLine::end_questions(TimePoint now) noexcept {
  for (;;) {
    TimePoint next = TimePoint::max();
    TopicRef late;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [name, question] : questions_) {
        if (question.end == TimePoint()) {
          constexpr std::chrono::hours most(1);
          question.end = now + std::min<std::chrono::nanoseconds>(options_.history_time, most);
        }
        if (question.end <= now) late = question.topic;
        next = std::min(next, question.end);
      }
    }
    if (!late) return next;
    if (auto question = take_question(late->name())) answer(*std::move(question), {});
  }
}

// ---- answers

void BridgeLine::history(std::string_view topic, const BridgeHistory& given) noexcept {
  if (!runs_.load(std::memory_order_relaxed)) return;
  if (auto question = take_question(topic)) answer(*std::move(question), given);
}

void BridgeLine::answer(Question question, const BridgeHistory& given) noexcept {
  histories_.fetch_add(1, std::memory_order_relaxed);
  bool known = given.known;
  try {
    if (known && question.fills) load(question, given);
  } catch (...) {  // memory is out, or the application's format function threw
    known = false;
  }
  if (question.heals) {
    known ? heal(question, given) : report(*question.topic, question.cause);
    place_held(question);
  }
  if (question.fills) owner_->tell_history(question.topic, known);
}

void BridgeLine::load(const Question& question, const BridgeHistory& answer) {
  const std::size_t kept = question.topic->options().history;
  const std::size_t count = std::min(kept, answer.publications.size());
  std::uint64_t offset =
      answer.last.offset + 1 - std::min<std::uint64_t>(count, answer.last.offset);
  std::vector<topics::Loaded> loaded;
  loaded.reserve(count);
  for (const BridgedPublication& each : answer.publications.last(count)) {
    const Position at{answer.last.epoch, offset++};
    loaded.push_back({connection::format(*question.topic, each.message, at), at.offset});
  }
  const bool complete =
      question.after.epoch != answer.last.epoch || first_of(answer) > question.after.offset + 1;
  question.topic->load(loaded, answer.last, complete);
}

// Without a hole nothing was published meanwhile, and nothing is reported.
void BridgeLine::heal(Question& question, const BridgeHistory& answer) noexcept {
  TopicState& topic = *question.topic;
  const auto newest = topic.numbered();
  if (!newest) return;  // the gap is reported already
  std::uint64_t offset = first_of(answer);
  const bool same = answer.last.epoch == newest->epoch;
  if (same && !question.fills && answer.last.offset < question.after.offset) {
    return report(topic, GapCause::lost);  // the broker has an older state, and numbers again
  }
  const bool fits = same && offset <= newest->offset + 1;
  if (!fits) report(topic, question.cause);
  bool filled = false;
  for (const BridgedPublication& each : answer.publications) {
    const Position at{answer.last.epoch, offset++};
    if (fits && at.offset <= newest->offset) continue;
    const bool too_big = each.message.size() > table_.max_message_bytes();
    const Placed placed = too_big ? Placed::full : place(topic, each.message, each.origin, at);
    if (placed == Placed::full) report(topic, too_big ? GapCause::lost : GapCause::too_slow);
    filled = filled || placed == Placed::published;
  }
  if (fits && filled) healed_.fetch_add(1, std::memory_order_relaxed);
}

void BridgeLine::place_held(Question& question) noexcept {
  TopicState& topic = *question.topic;
  for (const Held& each : question.held) {
    const Message message = each.message.message();
    if (hold(topic.name(), message, each.origin, each.position)) continue;
    const Placed placed = place(topic, message, each.origin, each.position);
    if (placed == Placed::full) report(topic, GapCause::too_slow);
    if (placed == Placed::hole) {
      start_healing(topic, question.cause, message, each.origin, each.position);
    }
  }
  if (!question.held_all) gap_of(topic, question.cause);
}

// ---- holes

// Returns whether the publication is held, or dropped because too many are.
bool BridgeLine::hold(std::string_view topic, Message message, const Origin& origin,
                      std::optional<Position> position) noexcept {
  if (healing_.load(std::memory_order_relaxed) == 0 || !position) return false;
  const auto find = [&]() -> Question* {
    const auto found = questions_.find(topic);
    return found != questions_.end() && found->second.heals ? &found->second : nullptr;
  };
  const std::size_t bytes = message.size() + sizeof(Held);
  try {
    const SharedMessage shared(message);
    const std::lock_guard lock(mutex_);
    Question* const question = find();
    if (question == nullptr) return false;
    if (question->held.size() >= max_hole || held_bytes_ + bytes > max_held_bytes) {
      question->held_all = false;
      return true;
    }
    question->held.push_back({shared, origin, *position});
    question->held_bytes += bytes;
    held_bytes_ += bytes;
    return true;
  } catch (const std::bad_alloc&) {
    const std::lock_guard lock(mutex_);
    Question* const question = find();
    if (question != nullptr) question->held_all = false;
    return question != nullptr;
  }
}

void BridgeLine::start_healing(TopicState& topic, GapCause cause, Message message,
                               const Origin& origin, Position position) noexcept {
  const auto newest = topic.numbered();
  const bool asks =
      newest && options_.on_gap != GapPolicy::nothing && send_question(topic, *newest, true, cause);
  if (asks && hold(topic.name(), message, origin, position)) return;
  if (!asks) report(topic, cause);
  static_cast<void>(place(topic, message, origin, position));
}

}  // namespace tern::server
