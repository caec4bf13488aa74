#pragma once

#include "bridge/link.h"
#include "crypto/random.h"
#include "redis/echoes.h"
#include "redis/gate.h"
#include "redis/reply.h"
#include "redis/settings.h"
#include "redis/wire.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::redis {

/// Two connections to one server: one that subscribes, and one for all other commands. It waits in
/// connect(), and in flush() while the server takes too little.
class Link final : public bridge::Link {
 public:
  /// The server is asked after each `role_interval` whether it has become a replica. Throws
  /// std::bad_alloc.
  explicit Link(const Options& options,
                std::chrono::milliseconds role_interval = std::chrono::seconds(5));

  std::string problem() const override { return problem_; }
  bool is_durable() const noexcept override { return settings_.history.has_value(); }
  std::size_t servers() const noexcept override { return settings_.addresses.size(); }
  std::string server_name(std::size_t server) const override;
  Result<void> connect(std::size_t server, bridge::LinkEvents& events) override;
  Result<void> subscribe(std::span<const std::string_view> topics) override;
  Result<void> unsubscribe(std::span<const std::string_view> topics) override;
  Result<void> publish(std::string_view topic, const SharedMessage& message,
                       const Origin& origin) override;
  Result<void> history(std::string_view topic, Position after, std::size_t count) override;
  Result<void> flush() override;
  Result<void> ping() override;
  Result<void> probe() override;
  Result<void> poll(int wake, std::chrono::milliseconds timeout) override;
  void close() noexcept override;
  void interrupt() noexcept override;

 private:
  /// The command whose answer comes next on the connection for commands.
  struct Expected {
    enum class Kind : std::uint8_t { publication, history, role, other };
    Kind kind;
    std::string topic{};    // history
    Echoes::Place echo{};   // publication
    std::string command{};  // one that runs a script
    bool is_repeated = false;
  };
  /// A SUBSCRIBE that is not confirmed.
  struct Subscribing {
    std::vector<std::string> topics;
    std::size_t confirmed = 0;
  };
  /// A notification that came after a question for the history of its topic. If the answer counts
  /// it, it is delivered before the answer, else behind.
  struct Held {
    Position position;
    std::string bytes;
  };
  struct Asked {
    std::size_t questions = 0;
    std::vector<Held> held{};
    std::size_t bytes = 0;
    bool is_full = false;  // later ones are dropped, and it is a gap
  };
  /// An answer to a question for a history. It waits until the pong to a ping, which was sent when
  /// it came, arrives on the connection that subscribes: then all notifications of publications
  /// that it counts have arrived there, too.
  struct Answered {
    std::string topic;
    Reply reply;
    std::optional<Part> part;  // views of the reply; absent: an error
    std::size_t bytes = 0;
  };

  Result<void> log_in(Wire& wire, const Address& address, const Patience& patience);
  Result<void> prepare(const Address& address, const Patience& patience);
  Result<void> load_scripts(const Patience& patience);
  std::string draw_number();
  bool is_stopping() noexcept;

  void send(std::initializer_list<std::string_view> words, Expected expected);
  std::size_t waiting_bytes() const noexcept;
  bool is_crowded() const noexcept;
  Result<void> exchange(std::optional<int> wake, std::chrono::milliseconds timeout);
  Result<void> move(std::optional<int> wake, std::chrono::milliseconds timeout);
  Result<void> read_pushes();
  Result<void> read_answers();
  Result<void> on_push(const redisReply& reply);
  void on_subscribed();
  Result<void> on_subscriber_error(std::string_view why);
  void send_subscribe(std::vector<std::string> topics);
  void pass(Expected expected, std::string_view command);
  void send_again();
  void ask_role();
  void on_message(std::string_view topic, std::string_view payload);
  bool has_envelope() const noexcept {
    return settings_.history.has_value() || settings_.payload == Payload::envelope;
  }
  void deliver(std::string_view topic, const std::optional<Position>& position,
               std::string_view bytes);
  bool hold(std::string_view topic, const Position& position, std::string_view bytes);
  Result<void> on_answer(Reply reply);
  void on_history(std::string topic, Reply reply);
  void on_history_pong();
  void tell_history(const Answered& answered);
  void deliver_held(std::string_view topic, Asked& asked, const std::optional<Position>& last);
  void tell_refused(const Expected& expected, std::string_view why);
  void say_goodbye() noexcept;
  void tell_unanswered() noexcept;

  Settings settings_{};
  std::chrono::milliseconds role_interval_;
  std::string problem_{};
  crypto::Random random_{};
  bridge::LinkEvents* events_ = nullptr;  // null: not connected
  bool is_ready_ = false;                 // logged in, and nothing has failed
  Wire subscriber_{};
  Wire commands_{};
  Gate gate_{};
  Echoes echoes_{};  // of raw payloads
  std::deque<Subscribing> subscribing_{};
  std::deque<Expected> expected_{};
  std::deque<Expected> missed_{};  // the server did not know their scripts: they are sent again
  std::deque<Expected> behind_{};  // not sent, because they come behind those
  std::size_t kept_bytes_ = 0;     // of the commands in these three
  bool asks_role_ = false;         // the user has the right to
  Clock::time_point role_asked_at_{};
  Clock::time_point answered_at_{};  // or since when an answer is expected
  ByName<Asked> asked_{};
  std::size_t held_bytes_ = 0;
  std::deque<Answered> answered_{};  // in the order of their pings
  std::size_t answered_bytes_ = 0;
  std::string probe_channel_{};
  std::string run_{};  // of the server
  std::string publish_sha_{};
  std::string read_sha_{};
  std::string body_{};         // reused
  std::string command_{};      // reused
  bool told_refused_ = false;  // that the server refuses a command that is no publication
  bool told_foreign_ = false;  // a publication without a position was logged

  std::mutex stop_mutex_{};
  std::stop_source stop_{};  // guarded by stop_mutex_
};

}  // namespace tern::redis
