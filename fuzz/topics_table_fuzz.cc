// Random calls on the table of topics against a plain model. The input is a list of calls of two
// bytes: the call and its argument. A subscriber that joins must receive from its history and its
// inbox exactly the publications after the position that it asked for, in order and once; a
// publication reaches all workers or none; nothing is left when all subscribers have gone.
//
// Subject: src/topics/table.cc
// Subject: src/topics/topic_state.cc
// Subject: src/topics/history.cc
// Subject: src/topics/inbox.cc
#include "topics/table.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tern::topics {
namespace {

constexpr std::size_t workers = 3;
constexpr std::size_t names = 4;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

struct Worker {
  Inbox inbox{{5, 60}, [] {}};
  Seat seat{inbox};
  // The subscriber of this worker for each topic: the offset of the last publication that it has.
  std::array<std::optional<std::uint64_t>, names> seen{};
  std::array<TopicRef, names> topics{};  // of the subscribers
};

struct Model {
  TopicLimits limits{.max_topics = 3, .max_history_bytes = 700};
  Table table{limits, workers, 100};
  std::array<Worker, workers> all{};
  std::array<TopicRef, names> kept{};
  std::array<Position, names> last{};  // by the topic's results

  static std::string name(std::size_t topic) {
    return std::string(1, static_cast<char>('a' + topic));
  }

  void publish(std::size_t topic, std::size_t size) {
    Found found = table.find_to_publish(name(topic));
    if (!found.topic) return;
    const Position before = found.topic->position();
    std::size_t interested = 0;
    for (const Worker& worker : all) interested += worker.seen[topic].has_value() ? 1 : 0;
    const PublishStatus status =
        *found.topic->publish({SharedMessage(std::string(size, 'x'))}, std::nullopt);
    if (status) {
      require(status.workers() == interested, "not all workers");
      require(status.position() == Position{before.epoch, before.offset + 1},
              "not the next offset");
    } else {
      require(status == PublishStatus::full && interested > 0, "refused without a reason");
      require(found.topic->position() == before, "a refused publication took an offset");
    }
    last[topic] = found.topic->position();
  }

  void join(Worker& worker, std::size_t index, std::size_t topic, From from) {
    if (worker.seen[topic]) return;
    const Found found = table.get(name(topic));
    if (found.error) {
      require(found.error == Errc::too_many_topics, "not the error of the limit");
      return;
    }
    const Beginning beginning = found.topic->join(index, worker.seat, from);
    const Subscribed& subscribed = beginning.subscribed;
    std::uint64_t next = subscribed.offset + 1 - beginning.kept.size();
    for (const Kept& each : beginning.kept) require(each.offset == next++, "a hole in a history");
    require(subscribed.recovered == (subscribed.missed == 0) || from.kind() == From::Kind::position,
            "recovered and missed disagree");
    if (from.kind() == From::Kind::position && subscribed.recovered) {
      require(from.position().offset + beginning.kept.size() == subscribed.offset,
              "recovered, but not all");
    }
    worker.seen[topic] = subscribed.offset;
    worker.topics[topic] = found.topic;
  }

  void leave(Worker& worker, std::size_t index, std::size_t topic) {
    if (!worker.seen[topic]) return;
    worker.seen[topic].reset();
    worker.topics[topic]->leave(index, true);
    worker.topics[topic] = TopicRef();
  }

  void take(Worker& worker, std::size_t index) {
    ArrivalList list;
    worker.inbox.take(list);
    while (!list.empty()) {
      const std::unique_ptr<Arrival> arrival(list.pop_front());
      const std::size_t topic = static_cast<std::size_t>(arrival->topic->name()[0] - 'a');
      auto& seen = worker.seen[topic];
      if (seen && arrival->offset > *seen) {
        require(arrival->offset == *seen + 1, "a publication is missing");
        seen = arrival->offset;
      }
      worker.inbox.release(arrival->topic->share(index), 1, arrival->bytes());
    }
    worker.inbox.rest();
    require(!worker.inbox.busy(), "an empty inbox is busy");
    for (std::size_t topic = 0; topic < names; ++topic) {
      if (!worker.seen[topic]) continue;
      require(*worker.seen[topic] == worker.topics[topic]->position().offset,
              "a subscriber is behind an empty inbox");
    }
  }

  void call(unsigned what, unsigned argument) {
    const std::size_t index = argument % workers;
    const std::size_t topic = argument / 4 % names;
    const std::uint64_t number = argument / 16;
    Worker& worker = all[index];
    switch (what % 9) {
      case 0:
        return publish(topic, argument % 41);
      case 1:
        return join(worker, index, topic, From::now);
      case 2:
        return join(worker, index, topic, From::last(number));
      case 3:
        return join(worker, index, topic, Position{last[topic].epoch, number});
      case 4:
        return leave(worker, index, topic);
      case 5:
        return take(worker, index);
      case 6:
        kept[topic] = table.get(name(topic)).topic;
        return;
      case 7:
        kept[topic] = TopicRef();
        return;
      default:
        while (const Table::Change change = table.take_change()) {
          require((change.topic->subscribers() > 0) == (change.event == TopicEvent::wanted),
                  "an event that is not the state");
        }
    }
  }

  void end() {
    for (std::size_t i = 0; i < workers; ++i) {
      take(all[i], i);
      for (std::size_t topic = 0; topic < names; ++topic) leave(all[i], i, topic);
      require(all[i].inbox.waiting() == 0, "a reservation is left");
    }
    for (TopicRef& topic : kept) topic = TopicRef();
    table.close();
    require(table.counts().topics == 0, "a topic is left");
    require(table.counts().history_bytes == 0, "bytes of a history are left");
  }
};

}  // namespace
}  // namespace tern::topics

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::topics::Model model;
  model.table.set_options("b*", {.history = 3, .history_bytes = 90});
  model.table.set_options("c", {.history = 20, .history_bytes = 600});
  model.table.listen_to_changes([] {});
  for (std::size_t i = 0; i + 1 < size; i += 2) model.call(data[i], data[i + 1]);
  model.end();
  return 0;
}
