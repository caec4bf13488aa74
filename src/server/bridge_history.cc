// The history of a durable bridge. A question for it has three purposes: the topic has no position
// yet, subscribers begin with older publications, or publications are missing between the topic's
// newest one and one that came. A topic has one question at a time, so a thousand clients that come
// back at once ask the broker once. While a hole is being filled, later publications are held.
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
  return send_question(topic, Purpose::fill, after, GapCause::lost);
}

// Without a position the topic would not notice that its first publications are lost, and an outage
// before them would be a gap.
void BridgeLine::ask_number(TopicState& topic) noexcept {
  if (!durable_ || topic.numbered()) return;
  static_cast<void>(send_question(topic, Purpose::number, {}, GapCause::lost));
}

// Topics that were subscribed without a broker.
void BridgeLine::ask_numbers() noexcept {
  if (!durable_) return;
  try {
    for (const TopicRef& each : table_.topics_of(*this)) {
      if (each->subscribers() > 0) ask_number(*each);
    }
  } catch (const std::bad_alloc&) {
    log(LogLevel::error, "memory is out: topics of a bridge have no position before they need it");
  }
}

// Returns whether there was one. Throws std::bad_alloc.
bool BridgeLine::join_question(TopicState& topic, Purpose purpose, Position after, GapCause cause) {
  const bool is_number = purpose == Purpose::number;
  topic.retain();
  TopicRef share(&topic);
  const std::lock_guard lock(mutex_);
  const auto [found, made] = questions_.try_emplace(topic.name());
  Question& question = found->second;
  if (made) {
    question.topic = std::move(share);
    question.is_short = is_number;
    new_questions_.push_back(question);
  }
  const bool is_first = !question.fills && !question.heals;
  if (!is_number && is_first) {
    question.after = after;
    question.is_sure = purpose == Purpose::heal;
  }
  if (purpose == Purpose::heal && !question.heals) {
    question.heals = true;
    question.cause = cause;
    healing_.fetch_add(1, std::memory_order_relaxed);
  }
  if (purpose == Purpose::fill) question.fills = true;
  return !made;
}

bool BridgeLine::send_question(TopicState& topic, Purpose purpose, Position after,
                               GapCause cause) noexcept {
  if (!runs_.load(std::memory_order_relaxed) || state_.load() != BridgeState::up) return false;
  try {
    if (join_question(topic, purpose, after, cause)) return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (send_count(topic, after, purpose)) {
    owner_->wake();  // it sets the time at which the question has failed
    return true;
  }
  static_cast<void>(take_question(topic.name()));
  return false;
}

bool BridgeLine::send_count(const TopicState& topic, Position after, Purpose purpose) noexcept {
  std::size_t count = purpose == Purpose::number ? 0 : topic.options().history;
  if (purpose == Purpose::heal) count = std::max(count, max_hole);
  return bridge_->history(topic.name(), after, count);
}

BridgeLine::QuestionNode BridgeLine::take_question(std::string_view topic) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = questions_.find(topic);
  return found == questions_.end() ? QuestionNode() : remove_question(found);
}

// The caller holds the lock.
BridgeLine::QuestionNode BridgeLine::remove_question(Questions::iterator place) noexcept {
  Question& question = place->second;
  question.unlink();
  held_bytes_ -= question.held_bytes;
  if (question.heals) healing_.fetch_sub(1, std::memory_order_relaxed);
  return questions_.extract(place);
}

// All have the same time, so the first one ends first. The first loop serves connections, too, so a
// call does a part of the work, and the next turn goes on.
BridgeLine::TimePoint BridgeLine::end_questions(TimePoint now) noexcept {
  constexpr int max_new = 1024;
  constexpr int max_ended = 64;
  constexpr std::chrono::hours most(1);
  const TimePoint end = now + std::min<std::chrono::nanoseconds>(options_.history_time, most);
  int begun = 0;
  for (int ended = 0;; ++ended) {
    QuestionNode late;
    {
      const std::lock_guard lock(mutex_);
      for (; begun < max_new && !new_questions_.empty(); ++begun) {
        Question& question = new_questions_.pop_front();
        question.end = end;
        open_questions_.push_back(question);
      }
      if (!new_questions_.empty()) return now;
      if (open_questions_.empty()) return TimePoint::max();
      const Question& first = open_questions_.front();
      if (first.end > now || ended == max_ended) return first.end;
      late = remove_question(questions_.find(first.topic->name()));
    }
    answer(late.mapped(), {});
  }
}

// ---- answers

// Others may have joined a question for the position, and need more. Then the bridge is asked
// again.
void BridgeLine::history(std::string_view topic, const BridgeHistory& given) noexcept {
  if (!runs_.load(std::memory_order_relaxed)) return;
  QuestionNode done;
  TopicRef share;
  Position after;
  Purpose purpose = Purpose::fill;
  {
    const std::lock_guard lock(mutex_);
    const auto found = questions_.find(topic);
    if (found == questions_.end()) return;
    Question& question = found->second;
    if (given.known && question.is_short && (question.fills || question.heals)) {
      question.is_short = false;
      if (question.heals) purpose = Purpose::heal;
      share = question.topic;
      after = question.after;
    } else {
      done = remove_question(found);
    }
  }
  if (done) return answer(done.mapped(), given);
  share->begin_numbers(given.last);
  if (send_count(*share, after, purpose)) return;
  if (const QuestionNode failed = take_question(topic)) answer(failed.mapped(), {});
}

void BridgeLine::answer(Question& question, const BridgeHistory& given) noexcept {
  histories_.fetch_add(1, std::memory_order_relaxed);
  bool known = given.known;
  if (known && question.is_short) question.topic->begin_numbers(given.last);
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
  if (same && question.is_sure && answer.last.offset < question.after.offset) {
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
  const bool asks = newest && options_.on_gap != GapPolicy::nothing &&
                    send_question(topic, Purpose::heal, *newest, cause);
  if (asks && hold(topic.name(), message, origin, position)) return;
  if (!asks) report(topic, cause);
  static_cast<void>(place(topic, message, origin, position));
}

}  // namespace tern::server
