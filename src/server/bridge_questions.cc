// The questions of a durable bridge. A question has three purposes: the topic has no position yet,
// subscribers begin with older publications, or publications are missing between the topic's newest
// one and one that came. A topic has one question at a time, so a thousand clients that come back
// at once ask the broker once. The answers are in bridge_history.cc.
#include "server/bridge_line.h"
#include "topics/topic_state.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <utility>

namespace tern::server {

using topics::Bridged;
using topics::TopicRef;
using topics::TopicState;

namespace {

// The first loop serves connections, too.
class WorkTime {
 public:
  bool is_over() const noexcept { return std::chrono::steady_clock::now() - began_ >= most; }

 private:
  static constexpr std::chrono::milliseconds most{1};
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

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
      forget_tries(*each);
      if (each->subscribers() > 0) ask_number(*each);
    }
  } catch (const std::bad_alloc&) {
    log(LogLevel::error, "memory is out: topics of a bridge have no position before they need it");
  }
}

// Throws std::bad_alloc.
BridgeLine::Joined BridgeLine::join_question(TopicState& topic, Purpose purpose, Position after,
                                             GapCause cause) {
  const bool is_number = purpose == Purpose::number;
  topic.retain();
  TopicRef share(&topic);
  const std::lock_guard lock(mutex_);
  const auto [found, made] = questions_.try_emplace(topic.name());
  Question& question = found->second;
  if (made) {
    question.topic = std::move(share);
    question.is_short = is_number;
    new_waiting_.push_back(question);
  }
  const bool is_first = !question.fills && !question.heals;
  if (!is_number && is_first) {
    question.after = after;
    question.is_sure = purpose == Purpose::heal;
    if (!question.is_sent) question.is_short = false;
  }
  if (purpose == Purpose::heal && !question.heals) {
    question.heals = true;
    question.cause = cause;
    healing_.fetch_add(1, std::memory_order_relaxed);
  }
  if (purpose == Purpose::fill) question.fills = true;
  // A client does not wait because earlier answers brought nothing.
  const bool sends = !question.is_sent && (topic.bridged()->tries == 0 || question.fills);
  if (!sends) return {.is_new = made};
  return {.is_new = true, .to_send = begin_sending(question)};
}

// The caller holds the lock, and sends it afterwards.
BridgeLine::ToSend BridgeLine::begin_sending(Question& question) noexcept {
  question.is_sent = true;
  question.unlink();
  new_questions_.push_back(question);
  const Purpose purpose = question.heals   ? Purpose::heal
                          : question.fills ? Purpose::fill
                                           : Purpose::number;
  return {question.topic, question.after, purpose};
}

bool BridgeLine::send_question(TopicState& topic, Purpose purpose, Position after,
                               GapCause cause) noexcept {
  if (!runs_.load(std::memory_order_relaxed) || state_.load() != BridgeState::up) return false;
  Joined joined;
  try {
    joined = join_question(topic, purpose, after, cause);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (joined.to_send.topic && !send(joined.to_send)) {
    static_cast<void>(take_question(topic.name()));
    return false;
  }
  // It sets the time at which the question has failed, or at which it is sent.
  if (joined.is_new) owner_->wake();
  return true;
}

bool BridgeLine::send(const ToSend& question) noexcept {
  const TopicState& topic = *question.topic;
  std::size_t count = question.purpose == Purpose::number ? 0 : topic.options().history;
  if (question.purpose == Purpose::heal) count = std::max(count, max_hole);
  return bridge_->history(topic.name(), question.after, count);
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
  const WorkTime work;
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
      if (first.end > now || ended == max_ended || work.is_over()) return first.end;
      late = remove_question(questions_.find(first.topic->name()));
    }
    answer(late.mapped(), {});
    expect_late_answer(std::move(late));
  }
}

// ---- questions that wait

// Notifications of a topic may disagree with its history, for example because another program sends
// them. A question for each of them would keep this process and the broker busy. So the wait
// doubles with each answer that brings nothing. It is short again after a minute without one.
BridgeLine::TimePoint BridgeLine::place_waiting(TimePoint now) noexcept {
  constexpr int max_placed = 1024;
  constexpr std::chrono::milliseconds first_wait(100);
  constexpr std::chrono::minutes quiet(1);
  for (int i = 0; i < max_placed && !new_waiting_.empty(); ++i) {
    Question& question = new_waiting_.pop_front();
    Bridged& bridged = *question.topic->bridged();
    if (bridged.tried + quiet < now) bridged.tries = std::min<std::uint8_t>(bridged.tries, 1);
    const std::size_t level = std::clamp<std::size_t>(bridged.tries, 1, wait_levels) - 1;
    question.end = now + first_wait * (1 << level);
    waiting_[level].push_back(question);
  }
  if (!new_waiting_.empty()) return now;
  TimePoint next = TimePoint::max();
  for (QuestionList& level : waiting_) {
    if (!level.empty()) next = std::min(next, level.front().end);
  }
  return next;
}

// Like end_questions() it does a part of the work.
BridgeLine::TimePoint BridgeLine::send_waiting(TimePoint now) noexcept {
  constexpr int max_sent = 256;
  for (int sent = 0;; ++sent) {
    ToSend question;
    {
      const std::lock_guard lock(mutex_);
      const TimePoint next = place_waiting(now);
      if (next > now || sent == max_sent) return next;
      const auto due = [&](QuestionList& level) {
        return !level.empty() && level.front().end <= now;
      };
      QuestionList* const level = std::ranges::find_if(waiting_, due);
      if (level == std::end(waiting_)) return next;
      Question& first = level->front();
      first.topic->bridged()->tried = now;
      question = begin_sending(first);
    }
    if (send(question)) continue;
    if (const QuestionNode failed = take_question(question.topic->name())) {
      answer(failed.mapped(), {});
    }
  }
}

// Returns whether the topic has had the most answers in a row that brought nothing.
bool BridgeLine::count_try(TopicState& topic) noexcept {
  constexpr std::uint8_t max_tries = 5;
  const std::lock_guard lock(mutex_);
  std::uint8_t& tries = topic.bridged()->tries;
  tries = std::min<std::uint8_t>(tries + 1, wait_levels);
  return tries >= max_tries;
}

void BridgeLine::forget_tries(TopicState& topic) noexcept {
  const std::lock_guard lock(mutex_);
  topic.bridged()->tries = 0;
}

// ---- late answers

// A question that ended without an answer stays, so that its answer is not taken for that of a
// later question of the topic: the answers come in the order of the questions.
void BridgeLine::expect_late_answer(QuestionNode node) noexcept {
  Question& question = node.mapped();
  question.held = {};
  question.late = 1;
  try {
    const std::lock_guard lock(mutex_);
    auto place = late_.insert(std::move(node));
    if (!place.inserted) ++place.position->second.late;
    node = std::move(place.node);
  } catch (const std::bad_alloc&) {  // the next answer is taken for the wrong question
  }
}

bool BridgeLine::drop_late_answer(std::string_view topic) noexcept {
  QuestionNode done;  // destroyed without the lock, because it has a share of the topic
  const std::lock_guard lock(mutex_);
  const auto found = late_.find(topic);
  if (found == late_.end()) return false;
  if (--found->second.late == 0) done = late_.extract(found);
  return true;
}

}  // namespace tern::server
