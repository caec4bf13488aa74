// A broadcast is framed once; every queue then copies or references the same bytes. The block is
// shared between threads, so its count is atomic and it is never written to again.
#include "tern/message.h"

#include "engine/encoded_message.h"

#include <cstring>
#include <new>
#include <utility>

namespace tern {
namespace engine {

const EncodedMessage* EncodedMessage::encode(Message message) {
  void* memory = ::operator new(sizeof(EncodedMessage) + frame::max_header_bytes + message.size());
  auto* encoded = new (memory) EncodedMessage(message.type(), message.size());
  const frame::Header header{
      .length = message.size(), .opcode = opcode_of(message.type()), .fin = true};
  encoded->header_ = frame::encode_header(encoded->bytes(), header, frame::Masking::unmasked);
  if (!message.empty()) {
    std::memcpy(encoded->bytes() + encoded->header_, message.bytes().data(), message.size());
  }
  return encoded;
}

void EncodedMessage::release() const noexcept {
  if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  this->~EncodedMessage();
  ::operator delete(const_cast<EncodedMessage*>(this));
}

}  // namespace engine

SharedMessage::SharedMessage(Message message) : encoded_(engine::EncodedMessage::encode(message)) {}

SharedMessage::SharedMessage(const SharedMessage& other) noexcept : encoded_(other.encoded_) {
  if (encoded_ != nullptr) encoded_->retain();
}

SharedMessage::SharedMessage(SharedMessage&& other) noexcept
    : encoded_(std::exchange(other.encoded_, nullptr)) {}

SharedMessage& SharedMessage::operator=(SharedMessage other) noexcept {
  std::swap(encoded_, other.encoded_);
  return *this;
}

SharedMessage::~SharedMessage() {
  if (encoded_ != nullptr) encoded_->release();
}

Message SharedMessage::message() const noexcept {
  return encoded_ != nullptr ? encoded_->message() : Message();
}

}  // namespace tern
