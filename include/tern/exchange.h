// A request of a page that is answered now or later, and the functions of pages.
#pragma once

#include "tern/http.h"
#include "tern/unique_function.h"

#include <memory>
#include <type_traits>
#include <utility>

namespace tern {

namespace server {
class PendingRequest;
}

/// A request of a page that waits for its answer. Copyable. Only the first answer counts. If the
/// last copy is destroyed without an answer, or Timeouts::answer has passed, the answer is 503. An
/// answer does nothing when the peer is gone or the server has stopped. Thread: any.
class Exchange {
 public:
  /// The request with its whole body. Lifetime: until it is answered; keep a copy of the Exchange
  /// until then.
  const Request& request() const noexcept;
  /// Answers. The connection then goes on with the next request; a status from 400 on ends it.
  void respond(Response response) const;
  /// Returns false if the work for an answer is in vain: the request was answered, the connection
  /// has ended, or the peer has ended its direction of TCP. A program that is gone and one that
  /// only has no more to send look the same, so an answer is sent in the last case. A job that
  /// takes long asks from time to time. A peer whose machine has failed is not noticed.
  bool is_open() const noexcept;

  /// For the server.
  explicit Exchange(std::shared_ptr<server::PendingRequest> state) noexcept
      : state_(std::move(state)) {}

 private:
  std::shared_ptr<server::PendingRequest> state_;
};

/// The function of a page: it returns the Response to a Request, or it takes an Exchange and
/// answers now or later. Converts from callables of both forms.
class PageFunction {
 public:
  using Returns = UniqueFunction<Response(const Request&)>;
  using Answers = UniqueFunction<void(Exchange)>;

  /// Makes an empty object.
  PageFunction() noexcept = default;
  /// `function` returns the Response.
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, PageFunction> && std::is_constructible_v<Returns, F>)
      PageFunction(F&& function)
      : returns_(std::forward<F>(function)) {}
  /// `function` takes an Exchange.
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, PageFunction> && !std::is_constructible_v<Returns, F> &&
           std::is_constructible_v<Answers, F>) PageFunction(F&& function)
      : answers_(std::forward<F>(function)) {}

  /// Whether there is a function to call.
  explicit operator bool() const noexcept { return returns_ || answers_; }

  /// For the server: one of them is empty.
  Returns& returns() noexcept { return returns_; }
  Answers& answers() noexcept { return answers_; }

 private:
  Returns returns_{};
  Answers answers_{};
};

}  // namespace tern
