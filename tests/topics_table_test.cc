// The table of topics without a server: names, options, the life of a topic, histories and their
// bounds, and the events of the first and last subscriber.
#include "topics/table.h"

#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace tern::topics {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t megabyte = std::size_t{1} << 20;

class TopicsTable : public testing::Test {
 protected:
  static PublishStatus publish(const Found& found, const std::string& text) {
    return *found.topic->publish({SharedMessage(text)}, std::nullopt);
  }
  // The texts of the publications with which a subscription begins.
  static std::string texts(const Beginning& beginning) {
    std::string all;
    for (const Kept& kept : beginning.kept) all += std::string(kept.message.message().text()) + ' ';
    return all;
  }
  // A history whose age is bounded by a nanosecond is too old afterwards.
  static void wait_for_the_clock() {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin <= 1ns) {
    }
  }

  TopicLimits limits_{.max_topics = 3, .max_history_bytes = 10'000};
  Table table_{limits_, 2, megabyte};
  int rings_ = 0;
  Inbox inbox_{{4, 1000}, [this] { ++rings_; }};
  Seat seat_{inbox_};
};

TEST(TopicsName, HasBoundsAndNoControlCharacters) {
  EXPECT_FALSE(is_topic_name(""));
  EXPECT_TRUE(is_topic_name(std::string(255, 'x')));
  EXPECT_FALSE(is_topic_name(std::string(256, 'x')));
  for (const char* bad : {"\n", "a\x1F", "\x7F", "a\tb"}) EXPECT_FALSE(is_topic_name(bad)) << bad;
  EXPECT_FALSE(is_topic_name(std::string_view("\0", 1)));
  for (const char* good : {" ", "room.7", "\xC3\xA4", "\xFF", "a*b"})
    EXPECT_TRUE(is_topic_name(good));
}

TEST_F(TopicsTable, ATopicExistsWhileItIsReferred) {
  {
    const Found first = table_.get("t");
    const Found second = table_.get("t");
    EXPECT_EQ(first.topic.get(), second.topic.get());
    EXPECT_EQ(table_.find("t").get(), first.topic.get());
    EXPECT_EQ(table_.counts().topics, 1u);
  }
  EXPECT_FALSE(table_.find("t"));
  EXPECT_EQ(table_.counts().topics, 0u);
}

TEST_F(TopicsTable, ANewLifeHasAnotherEpoch) {
  const std::uint64_t first = table_.get("t").topic->position().epoch;
  EXPECT_NE(first, 0u);
  EXPECT_NE(table_.get("t").topic->position().epoch, first);
}

// The topics of a parent and of its child have one history up to the fork, and then two.
TEST_F(TopicsTable, APositionOfBeforeTheForkIsNotRecovered) {
  table_.set_options("*", {.history = 5});
  const Found found = table_.get("t");
  publish(found, "1");
  const Position before = found.topic->position();
  publish(found, "2");
  table_.begin_epochs();
  Beginning beginning = found.topic->join(0, seat_, before);
  EXPECT_FALSE(beginning.subscribed.recovered);
  EXPECT_NE(beginning.subscribed.epoch, before.epoch);
  EXPECT_EQ(texts(beginning), "");
  EXPECT_EQ(texts(found.topic->begin_again(From::last(5))), "1 2 ");
  found.topic->leave(0, true);
}

TEST_F(TopicsTable, RefusesMoreTopicsThanTheLimit) {
  std::vector<Found> kept;
  for (const char* name : {"a", "b", "c"}) kept.push_back(table_.get(name));
  EXPECT_EQ(table_.get("d").error, Errc::too_many_topics);
  EXPECT_FALSE(table_.get("a").error);
  kept.pop_back();
  EXPECT_FALSE(table_.get("d").error);
  EXPECT_EQ(table_.get("").error, Errc::topic_invalid);
}

TEST_F(TopicsTable, TheLongestPatternCounts) {
  table_.set_options("*", {.history = 1});
  table_.set_options("room.*", {.history = 2});
  table_.set_options("room.7*", {.history = 3});
  table_.set_options("room.7", {.history = 4});
  const auto history = [&](const char* name) { return table_.get(name).topic->options().history; };
  EXPECT_EQ(history("x"), 1u);
  EXPECT_EQ(history("room"), 1u);
  EXPECT_EQ(history("room.1"), 2u);
  EXPECT_EQ(history("room.71"), 3u);
  EXPECT_EQ(history("room.7"), 4u);
  table_.set_options("room.7", {.history = 5});
  EXPECT_EQ(history("room.7"), 5u) << "a later call replaces an earlier one";
}

// ---- publish

TEST_F(TopicsTable, APublicationReachesAllSeatsOrNone) {
  Inbox other{{1, 1000}, [] {}};
  Seat second{other};
  const Found found = table_.get("t");
  EXPECT_EQ(publish(found, "0").value(), PublishStatus::nobody);
  found.topic->join(0, seat_, From::now);
  found.topic->join(1, second, From::now);
  EXPECT_EQ(publish(found, "1").workers(), 2u);
  const PublishStatus full = publish(found, "2");
  EXPECT_EQ(full.value(), PublishStatus::full);
  EXPECT_EQ(full.workers(), 0u);
  EXPECT_EQ(inbox_.waiting(), 1u);
  EXPECT_EQ(found.topic->position().offset, 2u) << "a refused one has no offset";
  found.topic->leave(1, true);
  EXPECT_EQ(publish(found, "3").workers(), 1u);
  ArrivalList list;
  inbox_.take(list);
  EXPECT_EQ(list.front()->offset, 2u);
  EXPECT_EQ(list.back()->offset, 3u);
  EXPECT_EQ(rings_, 1) << "the first one rings";
  found.topic->leave(0, true);
}

TEST_F(TopicsTable, OnlyTheExpectedPositionIsTaken) {
  const Found found = table_.get("t");
  Position next = found.topic->position();
  ++next.offset;
  EXPECT_TRUE(found.topic->publish({SharedMessage("1")}, next).has_value());
  EXPECT_FALSE(found.topic->publish({SharedMessage("2")}, next).has_value());
  EXPECT_EQ(found.topic->position(), next);
}

TEST_F(TopicsTable, ASourceIsKnownOnlyToItsWorker) {
  Inbox other{{9, 1000}, [] {}};
  Seat second{other};
  const Found found = table_.get("t");
  found.topic->join(0, seat_, From::now);
  found.topic->join(1, second, From::now);
  EXPECT_TRUE(found.topic->publish({SharedMessage("1"), {&inbox_, 77}}, std::nullopt).value());
  ArrivalList here;
  ArrivalList there;
  inbox_.take(here);
  other.take(there);
  EXPECT_EQ(here.front()->source, 77u);
  EXPECT_EQ(there.front()->source, Source::none);
  found.topic->leave(0, true);
  found.topic->leave(1, true);
}

TEST_F(TopicsTable, AnEmptyInboxTakesAnyOne) {
  std::array<Inbox::Share, 5> topics;
  EXPECT_TRUE(inbox_.reserve(topics[0], 5000));
  EXPECT_FALSE(inbox_.reserve(topics[0], 0));
  inbox_.release(topics[0], 1, 5000);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(inbox_.reserve(topics[i], i < 3 ? 250 : 188));
  EXPECT_FALSE(inbox_.reserve(topics[4], 0)) << "the number";
  inbox_.cancel(topics[0], 250);
  EXPECT_FALSE(inbox_.reserve(topics[4], 313)) << "the bytes";
  EXPECT_TRUE(inbox_.reserve(topics[4], 3));
}

// One topic gets four fifths, two get four ninths each.
TEST_F(TopicsTable, ATopicLeavesRoomForOthers) {
  Inbox inbox{{1000, 100'000}, [] {}};
  Inbox::Share hot;
  Inbox::Share warm;
  Inbox::Share cold;
  while (inbox.reserve(hot, 1)) {
  }
  EXPECT_EQ(hot.count, 800u);
  EXPECT_TRUE(inbox.reserve(cold, 1));
  inbox.cancel(cold, 1);
  while (inbox.reserve(warm, 1)) {
  }
  EXPECT_EQ(warm.count, 160u) << "until hot has less";
  for (int i = 0; i < 400; ++i) inbox.release(hot, 1, 1);
  while (inbox.reserve(warm, 1) || inbox.reserve(hot, 1)) {
  }
  EXPECT_TRUE(inbox.reserve(cold, 1));
  EXPECT_LE(inbox.waiting(), 1000u);
  inbox.release(hot, hot.count, hot.bytes);
  inbox.release(warm, warm.count, warm.bytes);
  while (inbox.reserve(hot, 1000)) {
  }
  EXPECT_EQ(hot.count, 79u) << "the bytes count in the same way";
}

TEST_F(TopicsTable, AnInboxIsBusyUntilItRests) {
  EXPECT_FALSE(inbox_.busy());
  Inbox::Share share;
  EXPECT_TRUE(inbox_.reserve(share, 1));
  inbox_.push(new Arrival(SharedMessage("x")));
  EXPECT_TRUE(inbox_.busy());
  inbox_.rest();
  EXPECT_TRUE(inbox_.busy()) << "something came that was not taken";
  ArrivalList list;
  inbox_.take(list);
  EXPECT_TRUE(inbox_.busy());
  inbox_.rest();
  EXPECT_FALSE(inbox_.busy());
}

// ---- history

TEST_F(TopicsTable, ASubscriptionBeginsWhereItAsks) {
  table_.set_options("*", {.history = 3});
  const Found found = table_.get("t");
  for (const char* text : {"1", "2", "3", "4", "5"}) publish(found, text);
  const std::uint64_t epoch = found.topic->position().epoch;
  struct Case {
    From from;
    std::string texts;
    bool recovered;
    std::uint64_t missed;
  };
  const std::vector<Case> cases{
      {From::now, "", true, 0},
      {From::retained, "5 ", true, 0},
      {From::last(0), "", true, 0},
      {From::last(2), "4 5 ", true, 0},
      {From::last(3), "3 4 5 ", true, 0},
      {From::last(4), "3 4 5 ", false, 1},
      {From::last(100), "3 4 5 ", false, 2},
      {Position{epoch, 5}, "", true, 0},
      {Position{epoch, 4}, "5 ", true, 0},
      {Position{epoch, 2}, "3 4 5 ", true, 0},
      {Position{epoch, 1}, "", false, 4},
      {Position{epoch, 0}, "", false, 5},
      {Position{epoch, 6}, "", false, 5},
      {Position{epoch + 1, 5}, "", false, 5},
      {Position{epoch, ~std::uint64_t{0}}, "", false, 5},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const Beginning beginning = found.topic->join(0, seat_, cases[i].from);
    EXPECT_EQ(texts(beginning), cases[i].texts);
    EXPECT_EQ(beginning.subscribed.recovered, cases[i].recovered);
    EXPECT_EQ(beginning.subscribed.missed, cases[i].missed);
    EXPECT_EQ(beginning.subscribed.offset, 5u);
    EXPECT_EQ(beginning.subscribed.epoch, epoch);
    found.topic->leave(0, true);
  }
}

// A connection that keeps much already reads the history in parts.
TEST_F(TopicsTable, AHistoryThatDoesNotFitIsReadLater) {
  table_.set_options("*", {.history = 5});
  const Found found = table_.get("t");
  for (const char* text : {"1", "2", "3", "4", "5", "6"}) publish(found, text);
  constexpr std::size_t each = 1 + History::overhead;
  Beginning beginning = found.topic->join(0, seat_, From::last(5), 2 * each + 1);
  EXPECT_EQ(texts(beginning), "2 3 ");
  EXPECT_EQ(beginning.rest, 4u);
  EXPECT_TRUE(beginning.subscribed.recovered);
  EXPECT_EQ(beginning.subscribed.missed, 0u);
  beginning.kept = found.topic->read_history(4, 6, 1);
  EXPECT_EQ(texts(beginning), "4 ") << "at least one";
  publish(found, "7");
  beginning.kept = found.topic->read_history(5, 6, 1000);
  EXPECT_EQ(texts(beginning), "5 6 ");
  found.topic->leave(0, true);
  for (int i = 0; i < 5; ++i) publish(found, "x");
  EXPECT_TRUE(found.topic->read_history(5, 6, 1000).empty()) << "it forgets them";
  beginning = found.topic->join(0, seat_, From::last(2), 0);
  EXPECT_EQ(texts(beginning), "");
  EXPECT_EQ(beginning.rest, 11u);
  EXPECT_TRUE(beginning.subscribed.recovered);
  found.topic->leave(0, true);
}

TEST_F(TopicsTable, AnEmptyTopicHasNothingToMiss) {
  const Found found = table_.get("t");
  for (const From from : {From::now, From::retained, From::last(9)}) {
    EXPECT_TRUE(found.topic->join(0, seat_, from).subscribed.recovered);
    found.topic->leave(0, true);
  }
}

TEST_F(TopicsTable, AHistoryKeepsATopic) {
  table_.set_options("kept", {.history = 1});
  EXPECT_EQ(table_.find_to_publish("other").error, std::error_code());
  EXPECT_FALSE(table_.find_to_publish("other").topic);
  publish(table_.find_to_publish("kept"), "x");
  EXPECT_TRUE(table_.find("kept"));
  table_.close();
  EXPECT_FALSE(table_.find("kept"));
  EXPECT_EQ(table_.counts().history_bytes, 0u);
}

TEST_F(TopicsTable, TheBytesOfAHistoryAreBounded) {
  table_.set_options("*", {.history = 100, .history_bytes = 1000});
  const Found found = table_.get("t");
  for (int i = 0; i < 20; ++i) publish(found, std::string(300, static_cast<char>('a' + i)));
  EXPECT_EQ(found.topic->join(0, seat_, From::last(100)).kept.size(), 3u);
  found.topic->leave(0, true);
  EXPECT_EQ(table_.counts().history_bytes, 3 * (300 + History::overhead));
  publish(found, std::string(5000, 'z'));
  EXPECT_EQ(found.topic->join(0, seat_, From::last(100)).kept.size(), 1u) << "the newest stays";
  found.topic->leave(0, true);
}

TEST_F(TopicsTable, TheTopicThatIsSilentForLongestLosesItsHistory) {
  table_.set_options("*", {.history = 10, .history_bytes = megabyte});
  const std::string text(2000, 'x');
  for (const char* name : {"a", "b", "c", "a"}) publish(table_.get(name), text);
  EXPECT_EQ(table_.counts().history_bytes, 4 * (2000 + History::overhead));
  publish(table_.get("a"), text);
  EXPECT_FALSE(table_.find("b"));
  EXPECT_TRUE(table_.find("c"));
  EXPECT_EQ(table_.counts().history_bytes, 4 * (2000 + History::overhead));
  EXPECT_EQ(table_.counts().histories_dropped, 1u);
}

TEST(TopicsHistory, DropsPublicationsUpToAnOffset) {
  const TopicOptions options{.history = 4};
  const auto now = std::chrono::steady_clock::now();
  History history;
  for (const std::uint64_t offset : {1u, 2u, 3u}) {
    history.prepare(options);
    history.push({SharedMessage("x"), offset, now, false}, options);
  }
  history.drop_up_to(2);
  ASSERT_EQ(history.size(), 1u) << "offset 3 came after the history was chosen";
  EXPECT_EQ(history[0].offset, 3u);
  EXPECT_EQ(history.bytes(), 1 + History::overhead);
  history.drop_up_to(3);
  EXPECT_EQ(history.bytes(), 0u);
}

// One thread chooses a history to drop, and before it does so another one publishes to that topic.
// The lock of the topic is held meanwhile, so that both wait for it.
TEST_F(TopicsTable, APublicationStaysIfItComesWhileAHistoryIsDropped) {
  table_.set_options("*", {.history = 1, .history_bytes = megabyte});
  std::atomic<int> begun = 0;
  const auto wait_for = [&](int threads) {
    while (begun < threads) std::this_thread::yield();
    const auto end = std::chrono::steady_clock::now() + 1ms;  // so that the thread reaches the lock
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
  };
  table_.listen_to_changes([&] {  // join() calls it under the lock
    begun = 1;
    wait_for(3);
  });
  const std::string text(6000, 'x');  // two of them exceed the bound
  const Found a = table_.get("a");
  const Found b = table_.get("b");
  for (int round = 0; round < 20; ++round) {
    begun = 0;
    publish(a, text);
    std::thread holder([&] { a.topic->join(0, seat_, From::now); });
    wait_for(1);
    std::thread fresh([&] {
      begun = 2;
      publish(a, text);
    });
    wait_for(2);
    std::thread dropper([&] {
      begun = 3;
      publish(b, text);
    });
    for (std::thread* thread : {&holder, &fresh, &dropper}) thread->join();
    ASSERT_EQ(table_.counts().history_bytes, text.size() + History::overhead);
    begun = 3;
    a.topic->leave(0, true);
    while (table_.take_change()) {
    }
    ArrivalList arrivals;
    inbox_.take(arrivals);
    inbox_.release(a.topic->share(0), 1, text.size());
  }
}

// ---- old histories at max_topics, which is 3

TEST_F(TopicsTable, OldHistoriesMakeRoomForNewNames) {
  table_.set_options("long*", {.history = 1, .history_age = 1h});
  table_.set_options("short*", {.history = 1, .history_age = 1ns});
  for (const char* name : {"long", "short1", "short2"}) publish(table_.get(name), "x");
  wait_for_the_clock();
  const Found third = table_.find_to_publish("short3");
  EXPECT_FALSE(third.error) << "a younger history is not hidden by one that stays for longer";
  EXPECT_EQ(table_.counts().topics, 3u);
  EXPECT_FALSE(table_.get("other").error) << "a subscription needs the same room";
  EXPECT_TRUE(table_.find("long"));
  EXPECT_EQ(table_.counts().histories_dropped, 0u) << "the bytes were within their bound";
}

TEST_F(TopicsTable, HistoriesThatAreNotOldKeepTheirTopics) {
  table_.set_options("*", {.history = 1, .history_age = 1h});
  for (const char* name : {"a", "b", "c"}) publish(table_.get(name), "x");
  EXPECT_EQ(table_.find_to_publish("d").error, Errc::too_many_topics);
  for (const char* name : {"a", "b", "c"}) EXPECT_TRUE(table_.find(name)) << name;
}

TEST_F(TopicsTable, ATopicInUseStaysWithoutItsOldHistory) {
  table_.set_options("*", {.history = 1, .history_age = 1ns});
  std::vector<Found> used;
  for (const char* name : {"a", "b", "c"}) used.push_back(table_.get(name));
  for (const Found& each : used) publish(each, "x");
  wait_for_the_clock();
  EXPECT_EQ(table_.get("d").error, Errc::too_many_topics);
  EXPECT_EQ(table_.counts().history_bytes, 0u);
  used.pop_back();
  EXPECT_FALSE(table_.get("d").error);
}

TEST(TopicsHistory, DropsTheOldestByAge) {
  const TopicOptions options{.history = 10, .history_age = 5s};
  History history;
  const History::TimePoint start{};
  for (int i = 0; i < 4; ++i) {
    history.prepare(options);
    history.push(
        {SharedMessage(std::to_string(i)), static_cast<std::uint64_t>(i), start + i * 2s, true},
        options);
  }
  EXPECT_EQ(history.size(), 3u);
  history.drop_old(start + 7s, options);
  EXPECT_EQ(history[0].offset, 1u);
  history.drop_old(start + 7s + 1ns, options);
  EXPECT_EQ(history[0].offset, 2u);
  history.drop_old(start + 20s, options);
  EXPECT_EQ(history.size(), 0u);
  EXPECT_EQ(history.bytes(), 0u);
}

TEST(TopicsHistory, IsARingOfItsCount) {
  const TopicOptions options{.history = 5};
  History history;
  for (std::uint64_t i = 0; i < 23; ++i) {
    history.prepare(options);
    history.push({SharedMessage("x"), i, {}, true}, options);
    EXPECT_EQ(history.size(), std::min<std::size_t>(i + 1, 5));
    for (std::size_t k = 0; k < history.size(); ++k) {
      EXPECT_EQ(history[k].offset, i + 1 - history.size() + k);
    }
  }
}

// ---- events

TEST_F(TopicsTable, ChangesAreToldOnce) {
  int rings = 0;
  table_.listen_to_changes([&] { ++rings; });
  const Found found = table_.get("t");
  found.topic->join(0, seat_, From::now);
  EXPECT_EQ(rings, 1);
  found.topic->join(0, seat_, From::now);
  Table::Change change = table_.take_change();
  EXPECT_EQ(change.topic.get(), found.topic.get());
  EXPECT_EQ(change.event, TopicEvent::wanted);
  EXPECT_FALSE(table_.take_change());
  found.topic->leave(0, false);
  EXPECT_FALSE(table_.take_change());
  found.topic->leave(0, true);
  found.topic->join(0, seat_, From::now);
  EXPECT_FALSE(table_.take_change()) << "the state is the one that was told";
  found.topic->leave(0, true);
  change = table_.take_change();
  EXPECT_EQ(change.event, TopicEvent::unwanted);
}

TEST_F(TopicsTable, ThreadsMayTakeAndDropOneTopic) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        const Found found = table_.get(i % 3 == 0 ? "a" : "b");
        ASSERT_TRUE(found.topic);
        const TopicRef copy = found.topic;
        *copy->publish({SharedMessage("x")}, std::nullopt);
        table_.find("a");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(table_.counts().topics, 0u);
}

}  // namespace
}  // namespace tern::topics
