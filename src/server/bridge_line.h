// One bridge of a server, between the topics and the bridge.
#pragma once

#include "tern/bridge.h"
#include "tern/observe.h"

#include "base/intrusive_list.h"
#include "server/refusals.h"
#include "topics/inbox.h"
#include "topics/outlet.h"
#include "topics/table.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tern::server {

/// The server around a line. Thread: any.
class LineOwner {
 public:
  /// BridgeLine::serve() has work.
  virtual void wake() noexcept = 0;
  /// The answer to Outlet::ask() is there: Fanout::on_history() of all workers. Returns false if
  /// memory is out, and then not all of them hear it.
  virtual bool tell_history(const topics::TopicRef& topic, bool known) noexcept = 0;
  virtual void log(LogLevel level, std::string_view line) noexcept = 0;

 protected:
  ~LineOwner() = default;
};

/// To topics it is the outlet, to the bridge it is the sink. Thread: any, unless stated otherwise.
///
/// The order of locks is: topic, then this. The bridge's own locks come last, and no lock of this
/// class is held while the bridge or a topic is called.
class BridgeLine final : public topics::Outlet, public BridgeSink {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  BridgeLine(std::unique_ptr<Bridge> bridge, BridgeOptions options, topics::Table& table);
  ~BridgeLine();

  const BridgeOptions& options() const noexcept { return options_; }
  /// The reason why it can never work; empty if there is none. Throws std::bad_alloc.
  std::string problem() const;

  /// Begins a run. Lifetime of the inboxes (one for each worker) and of the owner: until end().
  /// Errors: those of Bridge::attach(). Throws std::bad_alloc.
  Result<void> begin(std::vector<const topics::Inbox*> inboxes, LineOwner& owner);
  /// Ends the run of the bridge, and returns at the latest soon after `deadline`. No topic has
  /// subscribers. Several lines may do it at the same time.
  void detach(std::chrono::nanoseconds deadline) noexcept;
  /// Ends the run, after detach().
  void end() noexcept;

  /// A gap to report.
  struct Gap {
    topics::TopicRef topic{};
    GapCause cause = GapCause::outage;
    explicit operator bool() const noexcept { return static_cast<bool>(topic); }
  };
  /// Ends interests that have lingered and questions that have no answer, and sends questions that
  /// had to wait. Returns the time of the next one; TimePoint::max() if there is none. Thread: the
  /// first worker's.
  TimePoint serve(TimePoint now) noexcept;
  /// Returns a gap, or none. Thread: the first worker's.
  Gap take_gap() noexcept;

  /// Throws std::bad_alloc.
  BridgeStatus status() const;
  BridgeCounters counters() const;

 private:
  // topics::Outlet
  bool on_first(topics::TopicState& topic) noexcept override;
  void on_last(topics::TopicState& topic) noexcept override;
  bool end_interest(topics::TopicState& topic) noexcept override;
  std::optional<PublishStatus> publish(std::string_view topic, const SharedMessage& message,
                                       const topics::Source& source) noexcept override;
  bool ask(topics::TopicState& topic, Position after) noexcept override;
  void ask_number(topics::TopicState& topic) noexcept override;
  bool is_local_first() const noexcept override { return options_.order == Order::local_first; }
  bool is_durable() const noexcept override { return durable_; }
  AfterGap after_gap() const noexcept override;
  // BridgeSink
  void deliver(std::string_view topic, Message message, const Origin& origin,
               std::optional<Position> position) noexcept override;
  void history(std::string_view topic, const BridgeHistory& answer) noexcept override;
  void state(BridgeState state, std::string_view why) noexcept override;
  void gap(std::string_view topic, GapCause cause) noexcept override;
  void refused(std::string_view why) noexcept override;
  void log(LogLevel level, std::string_view line) noexcept override;

  using LingerList = base::IntrusiveList<topics::Bridged, topics::LingerTag>;
  using GapList = base::IntrusiveList<topics::Bridged, topics::GapTag>;
  using UntoldList = base::IntrusiveList<topics::Bridged, topics::UntoldTag>;

  /// A publication that came while a hole before it is being filled.
  struct Held {
    SharedMessage message;
    Origin origin;
    Position position;
  };
  /// The reason for a question.
  enum class Purpose : std::uint8_t {
    number,  // the topic has no position
    fill,    // subscribers wait for the history
    heal,    // a hole is to be filled
  };
  struct QuestionTag;
  /// The most publications that a hole may have, and that may be held behind it.
  static constexpr std::size_t max_hole = 1024;
  /// The answer did not bring what was asked for, so the next question of the topic waits longer.
  static constexpr std::size_t wait_levels = 6;
  /// A question for a history or a position.
  struct Question : base::ListHook<QuestionTag> {
    topics::TopicRef topic{};
    Position after{};
    TimePoint end{};        // without an answer until then, it has failed
    unsigned late = 0;      // answers that are still due to earlier questions of the topic
    bool is_sent = false;   // else it waits
    bool is_short = false;  // the bridge was asked for the position only
    bool fills = false;     // Purpose::fill
    bool heals = false;     // Purpose::heal
    bool is_sure = false;   // the broker had a publication at `after`; else a client says so
    GapCause cause = GapCause::lost;
    std::vector<Held> held{};
    std::size_t held_bytes = 0;
    bool held_all = true;  // none of them was dropped
  };
  /// A question that the bridge is asked without a lock; without a topic: none.
  struct ToSend {
    topics::TopicRef topic{};
    Position after{};
    Purpose purpose = Purpose::number;
  };
  struct Joined {
    bool is_new = false;  // the first loop must know it
    ToSend to_send{};
  };
  using Questions = std::unordered_map<std::string_view, Question>;  // the names are the topics'
  using QuestionNode = Questions::node_type;
  using QuestionList = base::IntrusiveList<Question, QuestionTag>;

  void linger(topics::Bridged& bridged, TimePoint now) noexcept;
  TimePoint end_lingering(TimePoint now) noexcept;
  // bridge_history.cc
  TimePoint end_questions(TimePoint now) noexcept;
  QuestionNode take_question(std::string_view topic) noexcept;
  QuestionNode remove_question(Questions::iterator place) noexcept;
  bool send_question(topics::TopicState& topic, Purpose purpose, Position after,
                     GapCause cause) noexcept;
  Joined join_question(topics::TopicState& topic, Purpose purpose, Position after, GapCause cause);
  ToSend begin_sending(Question& question) noexcept;
  bool send(const ToSend& question) noexcept;
  TimePoint send_waiting(TimePoint now) noexcept;
  TimePoint place_waiting(TimePoint now) noexcept;
  void expect_late_answer(QuestionNode node) noexcept;
  bool drop_late_answer(std::string_view topic) noexcept;
  void ask_numbers() noexcept;
  void answer(Question& question, const BridgeHistory& answer) noexcept;
  static void load(const Question& question, const BridgeHistory& answer);
  void catch_up(Question& question, const BridgeHistory& answer) noexcept;
  bool heal(Question& question, const BridgeHistory& answer) noexcept;
  bool place_missing(topics::TopicState& topic, const BridgeHistory& answer,
                     std::uint64_t after) noexcept;
  void place_held(Question& question, const BridgeHistory& answer, bool healed) noexcept;
  bool count_try(topics::TopicState& topic) noexcept;
  void forget_tries(topics::TopicState& topic) noexcept;
  void give_up(topics::TopicState& topic, Position last) noexcept;
  void tell_history(topics::TopicState& topic, bool known) noexcept;
  TimePoint tell_untold(TimePoint now) noexcept;
  enum class Holds : std::uint8_t { if_asked, always };
  bool hold(std::string_view topic, Message message, const Origin& origin,
            std::optional<Position> position, Holds holds) noexcept;
  void start_healing(topics::TopicState& topic, GapCause cause, Message message,
                     const Origin& origin, Position position) noexcept;
  // bridge_line.cc
  topics::Placed place(topics::TopicState& topic, Message message, const Origin& origin,
                       std::optional<Position> position) noexcept;
  void gap_of(topics::TopicState& topic, GapCause cause) noexcept;
  void report(topics::TopicState& topic, GapCause cause,
              std::optional<Position> newest = {}) noexcept;
  topics::Source source_of(const Origin& origin) const noexcept;
  Origin origin_of(const topics::Source& source) const noexcept;

  const std::unique_ptr<Bridge> bridge_;
  const BridgeOptions options_;
  topics::Table& table_;  // has a share of this
  const bool durable_;
  LineOwner* owner_ = nullptr;
  std::uint64_t server_ = 0;  // Origin::server of this run
  std::vector<const topics::Inbox*> inboxes_{};
  std::atomic<bool> runs_{false};
  std::atomic<BridgeState> state_{BridgeState::connecting};

  std::atomic<std::size_t> healing_{0};  // questions that fill a hole
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> echoes_{0};
  std::atomic<std::uint64_t> repeated_{0};
  std::atomic<std::uint64_t> dropped_full_{0};
  std::atomic<std::uint64_t> gaps_{0};
  std::atomic<std::uint64_t> healed_{0};
  std::atomic<std::uint64_t> histories_{0};

  Refusals refusals_{};
  mutable std::mutex mutex_{};
  // Guarded by mutex_:
  std::string why_{};
  LingerList left_{};       // topics without subscribers, whose time is not set
  LingerList lingering_{};  // the first one ends first
  GapList reported_{};      // gaps that the first worker has to tell
  UntoldList untold_{};     // topics with an answer that the workers do not know
  Questions questions_{};
  Questions late_{};               // ended without an answer, which is still due
  QuestionList new_questions_{};   // whose time is not set
  QuestionList open_questions_{};  // the first one ends first
  QuestionList new_waiting_{};     // not sent, and their time is not set
  std::array<QuestionList, wait_levels>
      waiting_{};               // not sent; the first one of each is sent first
  std::size_t held_bytes_ = 0;  // of all questions
};

}  // namespace tern::server
