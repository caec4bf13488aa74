#pragma once

#include "tern/error.h"
#include "tern/message.h"
#include "tern/topics.h"
#include "tern/unique_function.h"

#include "base/intrusive_list.h"
#include "topics/outlet.h"
#include "topics/topic_ref.h"
#include "topics/topic_state.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tern::topics {

/// A topic, or the reason why there is none.
struct Found {
  TopicRef topic{};
  std::error_code error{};
};

/// The numbers of a server's topics.
struct TableCounts {
  std::uint64_t topics = 0;
  std::uint64_t history_bytes = 0;
  std::uint64_t histories_dropped = 0;
  std::uint64_t published = 0;
  std::uint64_t published_full = 0;
};

/// The topics of one server, by name. It has no thread, socket or clock. Thread: any, unless stated
/// otherwise.
class Table {
 public:
  /// `workers` is the number of seats of a topic. A message has at most `max_message_bytes`.
  Table(const TopicLimits& limits, std::size_t workers, std::size_t max_message_bytes);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  // ---- before the server runs

  /// Sets the options of the names that fit the pattern. Throws std::bad_alloc.
  void set_options(std::string pattern, TopicOptions options);
  /// The reason why a pattern or its options can never work; empty if there is none.
  std::string problem() const;
  /// Gives an outlet to the topics that fit the pattern. An invalid pattern, or one that another
  /// outlet has, is a problem(). Throws std::bad_alloc.
  void add_outlet(const std::string& pattern, std::shared_ptr<Outlet> outlet);
  /// Returns whether a topic that fits the pattern may have a history.
  bool keeps_history(std::string_view pattern) const noexcept;
  /// `bell` tells that take_change() has something. Any thread may call it.
  void listen_to_changes(UniqueFunction<void()> bell) noexcept;

  /// `compress` makes the compressed form of a message. Any thread may call it. It must not throw.
  void set_compressor(UniqueFunction<void(const SharedMessage&)> compress) noexcept {
    compress_ = std::move(compress);
  }

  // ---- topics

  /// Calls the compressor, if there is one.
  void compress(const SharedMessage& message) {
    if (compress_) compress_(message);
  }
  /// Returns the topic of this name, and makes it if there is none. At max_topics it first drops
  /// histories that are too old, because only they may keep a topic. Errors: topic_invalid,
  /// too_many_topics, no_memory.
  Found get(std::string_view name) noexcept;
  /// Returns null if there is no such topic.
  TopicRef find(std::string_view name) noexcept;
  /// The same, but makes a topic that is to have a history.
  Found find_to_publish(std::string_view name) noexcept;
  /// Returns the outlet of topics with this name; null if there is none.
  Outlet* outlet_of(std::string_view name) const noexcept {
    return outlets_.empty() ? nullptr : find_outlet(name);
  }
  /// Returns all topics that have this outlet. Throws std::bad_alloc.
  std::vector<TopicRef> topics_of(const Outlet& outlet);
  /// A random number for an epoch; not 0.
  static std::uint64_t draw_epoch() noexcept;
  const TopicLimits& limits() const noexcept { return limits_; }
  std::size_t max_message_bytes() const noexcept { return max_message_bytes_; }

  /// Gives each topic a new epoch: this process is a child of fork(), so from now on its topics and
  /// those of the parent differ.
  void begin_epochs() noexcept;
  /// The server is gone: histories are dropped, and closed() is true.
  void close() noexcept;
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }

  void count(const PublishStatus& status) noexcept;
  TableCounts counts() const noexcept;

  /// A topic whose number of subscribers became 0 or more than 0 since it was told last.
  struct Change {
    TopicRef topic{};
    TopicEvent event = TopicEvent::unwanted;
    explicit operator bool() const noexcept { return static_cast<bool>(topic); }
  };
  /// Returns a change, or none (`topic` is null). Thread: one.
  Change take_change() noexcept;

  // ---- for TopicState and TopicRef

  /// Gives up a reference. The last one destroys the topic.
  void release(TopicState& topic) noexcept;
  /// The history of this topic took the publication `offset` at `now`, and has `bytes` more.
  void history_grew(TopicState& topic, std::ptrdiff_t bytes, History::TimePoint now,
                    std::uint64_t offset) noexcept;
  void history_shrank(std::size_t bytes) noexcept;
  /// The first subscriber came or the last one left. The caller has locked the topic.
  void changed(TopicState& topic) noexcept;

 private:
  static constexpr std::size_t shard_count = 16;

  struct Shard {
    std::mutex mutex{};
    std::unordered_map<std::string_view, TopicState*> topics{};  // the names are the topics'
  };
  using Histories = base::IntrusiveList<TopicState, HistoryTag>;
  /// A name, or the start of names.
  struct Pattern {
    std::string start{};
    bool is_exact = false;

    bool fits(std::string_view name) const noexcept {
      return is_exact ? name == start : name.starts_with(start);
    }
    /// The greatest one of several that fit counts.
    std::size_t rank() const noexcept { return 2 * start.size() + is_exact; }
  };
  /// The options of the names that fit a pattern. All histories of a rule have one bound of age, so
  /// the first one becomes too old first, and no other hides behind it.
  struct Rule : Pattern {
    TopicOptions options{};
    Histories histories{};  // guarded by history_mutex_; the longest without a publication first
  };

  /// A history that has to go: the publications up to `last`.
  struct Surplus {
    TopicRef topic{};
    std::uint64_t last = 0;
    explicit operator bool() const noexcept { return static_cast<bool>(topic); }
  };

  struct OutletRule : Pattern {
    std::shared_ptr<Outlet> outlet{};
  };

  Pattern parse_pattern(std::string_view what, const std::string& pattern);
  Outlet* find_outlet(std::string_view name) const noexcept;
  Shard& shard_of(std::string_view name) noexcept;
  Rule& rule_of(std::string_view name) noexcept;
  Found get_or_make(std::string_view name) noexcept;
  TopicState* make(std::string_view name);
  static Surplus take_first(Histories& histories) noexcept;
  Surplus take_longest_silent() noexcept;
  Surplus take_surplus_history() noexcept;
  void drop_surplus() noexcept;
  Surplus take_old_history(History::TimePoint now, std::size_t& looks) noexcept;
  void drop(const Surplus& surplus) noexcept;
  bool drop_old_topics() noexcept;

  const TopicLimits limits_;
  const std::size_t workers_;
  const std::size_t max_message_bytes_;
  Rule defaults_{};           // without a history
  std::deque<Rule> rules_{};  // topics refer to them
  std::vector<OutletRule> outlets_{};
  std::string problem_{};
  UniqueFunction<void(const SharedMessage&)> compress_{};
  std::array<Shard, shard_count> shards_{};
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> topics_{0};
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint64_t> published_full_{0};

  mutable std::mutex history_mutex_{};
  // Guarded by history_mutex_:
  std::size_t next_rule_ = 0;  // its histories are looked at next
  std::ptrdiff_t history_bytes_ = 0;
  std::uint64_t histories_dropped_ = 0;
  bool drops_surplus_ = false;  // a thread drops histories until they are small enough

  std::mutex change_mutex_{};
  // Guarded by change_mutex_:
  base::IntrusiveList<TopicState, ChangeTag> changes_{};
  UniqueFunction<void()> change_bell_{};
};

}  // namespace tern::topics
