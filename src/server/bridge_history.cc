// The answers to the questions of a durable bridge, and holes. While a hole is being filled, later
// publications are held. The questions are in bridge_questions.cc.
#include "connection/publishing.h"
#include "server/bridge_line.h"
#include "topics/topic_state.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::server {

using topics::Bridged;
using topics::Placed;
using topics::TopicRef;
using topics::TopicState;

namespace {

constexpr std::size_t max_held_bytes = std::size_t{8} << 20;

// The offset of the first publication of an answer; that after the last one if it has none.
std::uint64_t first_of(const BridgeHistory& answer) noexcept {
  return answer.last.offset + 1 -
         std::min<std::uint64_t>(answer.publications.size(), answer.last.offset);
}

}  // namespace

// ---- answers

// Others may have joined a question for the position, and need more. Then the bridge is asked
// again.
void BridgeLine::history(std::string_view topic, const BridgeHistory& given) noexcept {
  if (!runs_.load(std::memory_order_relaxed) || drop_late_answer(topic)) return;
  QuestionNode done;
  ToSend more;
  {
    const std::lock_guard lock(mutex_);
    const auto found = questions_.find(topic);
    if (found == questions_.end() || !found->second.is_sent) return;
    Question& question = found->second;
    if (given.known && question.is_short && (question.fills || question.heals)) {
      question.is_short = false;
      // A client may have told any position.
      if (!question.is_sure && question.after.epoch == given.last.epoch) {
        question.after.offset = std::min(question.after.offset, given.last.offset);
      }
      more = begin_sending(question);
    } else {
      done = remove_question(found);
    }
  }
  if (done) return answer(done.mapped(), given);
  more.topic->begin_numbers(given.last, false);
  if (send(more)) return owner_->wake();
  if (const QuestionNode failed = take_question(topic)) answer(failed.mapped(), {});
}

void BridgeLine::answer(Question& question, const BridgeHistory& given) noexcept {
  histories_.fetch_add(1, std::memory_order_relaxed);
  TopicState& topic = *question.topic;
  bool known = given.known;
  try {
    if (known && question.fills) load(question, given);
  } catch (...) {  // memory is out, or the application's format function threw
    known = false;
  }
  if (given.known) topic.begin_numbers(given.last, false);
  if (question.heals) {
    const bool healed = known && heal(question, given);
    if (!known) report(topic, question.cause);
    place_held(question, known ? given : BridgeHistory(), healed);
  } else if (given.known) {
    catch_up(question, given);
  } else if (topic.subscribers() > 0 && !topic.numbered() && !count_try(topic)) {
    ask_number(topic);  // subscribers may wait for the position
  }
  if (given.known || question.fills) tell_history(topic, known);
}

// Without memory the first loop tries again. The workers may then hear of an answer twice, and the
// second time nothing waits for it.
void BridgeLine::tell_history(TopicState& topic, bool known) noexcept {
  topic.retain();
  const TopicRef share(&topic);
  if (owner_->tell_history(share, known)) return;
  {
    const std::lock_guard lock(mutex_);
    Bridged& bridged = *topic.bridged();
    auto& hook = static_cast<base::ListHook<topics::UntoldTag>&>(bridged);
    bridged.untold_known = known;
    if (!hook.linked()) {
      topic.retain();
      untold_.push_back(bridged);
    }
  }
  owner_->wake();
}

BridgeLine::TimePoint BridgeLine::tell_untold(TimePoint now) noexcept {
  constexpr int max_told = 64;
  constexpr std::chrono::milliseconds wait(10);
  for (int told = 0;; ++told) {
    TopicRef topic;
    bool known = false;
    {
      const std::lock_guard lock(mutex_);
      if (untold_.empty()) return TimePoint::max();
      if (told == max_told) return now;
      Bridged& bridged = untold_.pop_front();
      known = bridged.untold_known;
      topic = TopicRef(&bridged.topic);
    }
    if (owner_->tell_history(topic, known)) continue;
    tell_history(*topic, known);
    return now + wait;
  }
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

// A question for older publications or for the position shows by chance that newer ones are
// missing. A subscriber that waits for this answer may have them already.
void BridgeLine::catch_up(Question& question, const BridgeHistory& answer) noexcept {
  TopicState& topic = *question.topic;
  const auto newest = topic.numbered();
  if (!newest) return;
  const bool same = answer.last.epoch == newest->epoch;
  if (question.is_short) forget_tries(topic);
  if (same && answer.last.offset <= newest->offset) return;
  const bool fits = same && !question.is_short && first_of(answer) <= newest->offset + 1;
  if (!fits && options_.on_gap == GapPolicy::nothing) {
    return report(topic, GapCause::lost, answer.last);
  }
  if (!fits) return gap_of(topic, GapCause::lost);
  static_cast<void>(place_missing(topic, answer, newest->offset));
}

// Without a hole nothing was published meanwhile, and nothing is reported. Returns whether the
// answer changed anything.
bool BridgeLine::heal(Question& question, const BridgeHistory& answer) noexcept {
  TopicState& topic = *question.topic;
  const auto newest = topic.numbered();
  if (!newest) return false;  // nothing is wanted any more
  const std::uint64_t first = first_of(answer);
  const bool same = answer.last.epoch == newest->epoch;
  if (same && question.is_sure && answer.last.offset < question.after.offset) {
    report(topic, GapCause::lost, answer.last);  // it has an older state, and numbers again
    return true;
  }
  const bool fits = same && first <= newest->offset + 1;
  if (!fits) report(topic, question.cause, Position{answer.last.epoch, first - 1});
  const bool filled = place_missing(topic, answer, fits ? newest->offset : first - 1);
  if (fits && filled) healed_.fetch_add(1, std::memory_order_relaxed);
  return filled || !fits;
}

// Returns whether there was one behind `after`.
bool BridgeLine::place_missing(TopicState& topic, const BridgeHistory& answer,
                               std::uint64_t after) noexcept {
  bool filled = false;
  std::uint64_t offset = first_of(answer);
  for (const BridgedPublication& each : answer.publications) {
    const Position at{answer.last.epoch, offset++};
    if (at.offset <= after) continue;
    const bool too_big = each.message.size() > table_.max_message_bytes();
    const Placed placed = too_big ? Placed::full : place(topic, each.message, each.origin, at);
    if (placed == Placed::full) {
      report(topic, too_big ? GapCause::lost : GapCause::too_slow, at);
    }
    filled = filled || placed == Placed::published;
  }
  return filled;
}

// The broker has nothing that fits between the topic's newest publication and one that came. After
// some tries the topic goes on with what the history of the broker says.
void BridgeLine::give_up(TopicState& topic, Position last) noexcept {
  report(topic, GapCause::lost, last);
  try {
    log(LogLevel::warning, "the bridge of \"" + options_.topics +
                               "\" drops publications of topic \"" + std::string(topic.name()) +
                               "\", because their positions and the broker's history disagree");
  } catch (const std::bad_alloc&) {  // the line is dropped
  }
}

// Publications behind a further hole wait for another question.
void BridgeLine::place_held(Question& question, const BridgeHistory& answer, bool healed) noexcept {
  TopicState& topic = *question.topic;
  bool helped = healed;
  bool is_counted = false;
  bool given_up = false;
  for (const Held& each : question.held) {
    const Message message = each.message.message();
    if (hold(topic.name(), message, each.origin, each.position, Holds::if_asked)) continue;
    const Placed placed = place(topic, message, each.origin, each.position);
    helped = helped || placed == Placed::published;
    if (placed == Placed::full) report(topic, GapCause::too_slow);
    if (placed != Placed::hole || given_up) continue;
    if (helped && answer.known) forget_tries(topic);
    if (!helped && answer.known && !std::exchange(is_counted, true)) given_up = count_try(topic);
    if (given_up) {
      give_up(topic, answer.last);
    } else {
      start_healing(topic, question.cause, message, each.origin, each.position);
    }
  }
  if (!question.held_all) gap_of(topic, question.cause);
}

// ---- holes

// Returns whether the publication is held, or dropped because too many are. While the question is
// not sent, only a publication behind a hole is held: others need not wait for it.
bool BridgeLine::hold(std::string_view topic, Message message, const Origin& origin,
                      std::optional<Position> position, Holds holds) noexcept {
  if (healing_.load(std::memory_order_relaxed) == 0 || !position) return false;
  const auto find = [&]() -> Question* {
    const auto found = questions_.find(topic);
    if (found == questions_.end() || !found->second.heals) return nullptr;
    return found->second.is_sent || holds == Holds::always ? &found->second : nullptr;
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
  if (asks && hold(topic.name(), message, origin, position, Holds::always)) return;
  if (!asks) report(topic, cause);
  static_cast<void>(place(topic, message, origin, position));
}

}  // namespace tern::server
