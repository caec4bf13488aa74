// An attempt that waits for the answer of ClientOptions::before_attempt.
#pragma once

#include "net/mailbox.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tern::client {

class LoopClient;

/// The answer of an application.
struct AttemptAnswer {
  enum class Kind : std::uint8_t {
    go,
    fail,
    give_up,
    threw,  ///< before_attempt threw an exception
    none,   ///< all copies of the Attempt were destroyed without an answer
  };
  Kind kind = Kind::go;
  std::string text{};  ///< go: the URL, or nothing; fail and give_up: why
  std::vector<std::pair<std::string, std::string>> headers{};
  std::vector<std::string> protocols{};
};

/// Passes the first answer to the client, on its loop. Thread: any.
class PendingAttempt {
 public:
  PendingAttempt(std::weak_ptr<LoopClient> client, std::shared_ptr<net::Mailbox> mailbox,
                 std::uint32_t number, std::size_t failures) noexcept
      : client_(std::move(client)),
        mailbox_(std::move(mailbox)),
        number_(number),
        failures_(failures) {}
  /// Gives the answer `none` if there was no answer.
  ~PendingAttempt();
  PendingAttempt(const PendingAttempt&) = delete;
  PendingAttempt& operator=(const PendingAttempt&) = delete;

  std::size_t failures() const noexcept { return failures_; }
  /// Does nothing after the first call. An answer that is lost because memory is out counts as
  /// none.
  void answer(AttemptAnswer answer) noexcept;

 private:
  const std::weak_ptr<LoopClient> client_;
  const std::shared_ptr<net::Mailbox> mailbox_;
  const std::uint32_t number_;
  const std::size_t failures_;
  std::atomic<bool> answered_{false};
};

}  // namespace tern::client
