// The way of a topic to other processes, as topics know it. The server has the bridge behind it.
#pragma once

#include "tern/message.h"
#include "tern/topics.h"

#include "base/intrusive_list.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tern::topics {

struct Source;
class TopicState;

/// Thread: any.
class Outlet {
 public:
  /// The effect of a gap on each subscriber, beside the report.
  struct AfterGap {
    bool resends_retained = false;
    bool closes = false;
    std::chrono::nanoseconds spread{};
  };

  /// The topic has its first subscriber; the caller has locked the topic. Returns false if memory
  /// is out.
  virtual bool on_first(TopicState& topic) noexcept = 0;
  /// The last subscriber has left; the caller has locked the topic.
  virtual void on_last(TopicState& topic) noexcept = 0;
  /// The interest ends, see TopicState::end_interest(); the caller has locked the topic. Returns
  /// false if memory is out, and then the interest goes on.
  virtual bool end_interest(TopicState& topic) noexcept = 0;
  /// Publishes to all processes, also to this one. Returns nothing if the topic shall publish the
  /// message only here.
  virtual std::optional<PublishStatus> publish(std::string_view topic, const SharedMessage& message,
                                               const Source& source) noexcept = 0;
  /// Asks for the history of the topic after a position; of epoch 0: for all that it may keep.
  /// Several requests have one answer: Fanout::on_history() of all workers. Returns false if none
  /// will come.
  virtual bool ask(TopicState& topic, Position after) noexcept = 0;
  /// Asks for the position of the topic, if other processes number it and the position is not
  /// known. The answer goes to TopicState::begin_numbers(), then to Fanout::on_history() of all
  /// workers. If it cannot be asked for now, it is asked for when the broker is there.
  virtual void ask_number(TopicState& topic) noexcept = 0;
  /// Publications reach the subscribers of this process at once, and publish() only the others.
  virtual bool is_local_first() const noexcept = 0;
  /// The other processes number the publications and have a history.
  virtual bool is_durable() const noexcept = 0;
  virtual AfterGap after_gap() const noexcept = 0;

 protected:
  ~Outlet() = default;
};

struct LingerTag;
struct GapTag;
struct UntoldTag;

/// The part of a topic that has an outlet.
struct Bridged : base::ListHook<LingerTag>, base::ListHook<GapTag>, base::ListHook<UntoldTag> {
  Bridged(TopicState& of, Outlet& to) noexcept : topic(of), outlet(to) {}

  TopicState& topic;
  Outlet& outlet;
  std::atomic<std::uint32_t> gaps{0};  // that were reported

  // The outlet delivers publications of this topic. It is written under the topic's lock. A gap
  // reads it without the lock, because what was published before a subscription does not matter to
  // it.
  std::atomic<bool> wanted{false};

  // The topic's lock guards these.
  bool numbered = false;      // the position is that of the broker
  bool before_first = false;  // the position was asked for, and no publication came since
  bool complete = false;      // the history has all that the broker had, as far as it may
  std::uint64_t floor = 0;    // positions below are not known any more

  // The outlet guards these.
  std::chrono::steady_clock::time_point linger_end{};
  std::chrono::steady_clock::time_point tried{};  // when the last question after a wait was sent
  std::uint8_t cause = 0;
  std::uint8_t tries = 0;     // answers in a row that brought nothing
  bool untold_known = false;  // an answer that the workers could not be told
};

/// The result of a publication that came through the outlet.
enum class Placed : std::uint8_t {
  published,
  repeated,  // it came before
  hole,      // publications before it are missing, or the broker has another epoch
  full,      // the workers are too slow, or memory is out
  unwanted,  // the interest has ended
};

/// One publication of a broker's history.
struct Loaded {
  SharedMessage message;
  std::uint64_t offset;
};

}  // namespace tern::topics
