// A broadcast is framed once, and every queue copies or references the same bytes. Threads share
// the block, so its count is atomic and its bytes do not change. The first thread that needs the
// compressed form makes it. Other threads that need it meanwhile wait, because that is cheaper than
// to compress it again.
#include "tern/message.h"

#include "engine/encoded_message.h"
#include "engine/text.h"

#include <cstring>
#include <new>
#include <utility>

namespace tern {
namespace engine {

const CompressedForm* CompressedForm::make(MessageType type, std::span<const std::byte> payload,
                                           int window_bits) {
  void* memory = ::operator new(sizeof(CompressedForm) + frame::max_header_bytes + payload.size());
  auto* form = new (memory) CompressedForm(window_bits);
  if (payload.empty()) return form;
  auto* const out = reinterpret_cast<std::byte*>(form + 1);
  const frame::Header header{
      .length = payload.size(), .opcode = opcode_of(type), .fin = true, .compressed = true};
  form->header_ = frame::encode_header(out, header, frame::Masking::unmasked);
  form->payload_ = payload.size();
  std::memcpy(out + form->header_, payload.data(), payload.size());
  return form;
}

void CompressedForm::destroy() const noexcept {
  this->~CompressedForm();
  ::operator delete(const_cast<CompressedForm*>(this));
}

const CompressedForm* EncodedMessage::compress(deflate::Deflater& deflater,
                                               base::ChunkPool& pool) const {
  const std::lock_guard lock(compressing_);
  if (const CompressedForm* made = compressed()) return made;
  base::ChunkRef chunk;
  const std::size_t size = deflater.compress(message().bytes(), false, pool, chunk);
  const auto* const form =
      CompressedForm::make(type_, {chunk.data(), size}, deflater.parameters().window_bits);
  compressed_.store(form, std::memory_order_release);
  return form;
}

EncodedMessage::EncodedMessage(Message message) noexcept
    : payload_(message.size()), type_(message.type()), valid_(is_valid_text(message)) {}

EncodedMessage::~EncodedMessage() {
  if (const CompressedForm* form = compressed()) form->destroy();
}

const EncodedMessage* EncodedMessage::encode(Message message) {
  void* memory = ::operator new(sizeof(EncodedMessage) + frame::max_header_bytes + message.size());
  auto* encoded = new (memory) EncodedMessage(message);
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
