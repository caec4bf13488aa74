// Messages of Client::send(): to the open connection, or into the outbox. While the outbox holds
// messages, later ones go behind them, so that their order stays.
#include "client/loop_client.h"
#include "engine/encoded_message.h"
#include "engine/text.h"

#include <new>
#include <utility>

namespace tern::client {
namespace {

// No connection follows that would send what the outbox keeps.
bool is_ending(ClientState state) noexcept {
  return state == ClientState::closing || state == ClientState::stopped;
}

}  // namespace

Handle LoopClient::handle() const noexcept {
  const std::uint64_t place = place_.load(std::memory_order_relaxed);
  if (place == nowhere) return {};
  return {settings_->shared.registry, static_cast<std::uint32_t>(place >> 32),
          static_cast<std::uint32_t>(place)};
}

SendStatus LoopClient::send(Message message, SendOptions options) noexcept {
  try {
    const net::Mailbox& mailbox = group().registry->mailbox();
    if (mailbox.reader() == std::this_thread::get_id()) return send_here(message, options);
    return post(message, options);
  } catch (const std::bad_alloc&) {
    return SendStatus::full;
  }
}

SendStatus LoopClient::send_here(Message message, SendOptions options) {
  const bool nothing_waits = !outbox_ || outbox_->empty();
  if (state() == ClientState::open && nothing_waits) {
    const SendStatus status = connection_->send(message, options);
    if (status != SendStatus::closed || !outbox_) return status;  // closed: it is about to end
  }
  if (!outbox_ || is_ending(state())) return SendStatus::closed;
  if (options.check_text && !engine::is_valid_text(message)) return SendStatus::not_utf8;
  return keep(SharedMessage(message), options);
}

SendStatus LoopClient::keep(const SharedMessage& message, SendOptions options) {
  options.check_text = false;
  return outbox_->push(message, options, core().now()) ? SendStatus::queued : SendStatus::full;
}

SendStatus LoopClient::post(Message message, SendOptions options) {
  const ClientState now = state();
  if (is_ending(now) || (now != ClientState::open && !outbox_)) {
    return SendStatus::closed;
  }
  if (options.check_text && !engine::is_valid_text(message)) return SendStatus::not_utf8;
  options.check_text = false;
  SharedMessage shared(message);
  net::Mailbox& mailbox = group().registry->mailbox();
  const bool posted = mailbox.post(
      [client = weak_from_this(), shared = std::move(shared), options] {
        const auto self = client.lock();
        if (self != nullptr && self->is_running()) self->send_posted(shared, options);
      },
      {.bytes = message.size()});
  if (posted) return SendStatus::queued;
  return mailbox.closed() ? SendStatus::closed : SendStatus::full;
}

// The sender was told that the message is queued. So one that is refused now counts as dropped.
void LoopClient::send_posted(const SharedMessage& message, SendOptions options) noexcept {
  SendStatus status = SendStatus::full;
  try {
    status = send_here(message.message(), options);
  } catch (const std::bad_alloc&) {
  }
  if (!status && outbox_) outbox_->count_dropped();
}

void LoopClient::flush_outbox() noexcept {
  if (!outbox_ || state() != ClientState::open) return;
  while (const OutboxQueue::Entry* oldest = outbox_->front(core().now())) {
    if (!connection_->has_room_for(oldest->message.message().size())) return;
    const SendStatus status = connection_->send(oldest->message, oldest->options);
    if (!status) return;
    outbox_->pop();
    if (status == SendStatus::congested) return;  // on_drained continues
  }
}

}  // namespace tern::client
