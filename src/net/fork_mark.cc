// Detects a fork without a system call. In a forked child, the kernel fills a page with
// MADV_WIPEONFORK (Linux 4.14) with zeros. So a byte in this page that is 1 in the parent is 0 in
// the child. This also works after a bare clone().
#include "net/fork_mark.h"

#include <cstddef>
#include <sys/mman.h>
#include <unistd.h>

namespace tern::net {

namespace {
constexpr std::size_t page_bytes = 4096;  // the kernel rounds it up to its own pages
}  // namespace

ForkMark::ForkMark() noexcept : process_(::getpid()) {
  void* const page =
      ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (::madvise(page, page_bytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, page_bytes);
    return;
  }
  page_ = static_cast<std::uint8_t*>(page);
  *page_ = 1;
}

ForkMark::~ForkMark() {
  if (page_ != nullptr) ::munmap(const_cast<std::uint8_t*>(page_), page_bytes);
}

void ForkMark::renew() noexcept {
  if (page_ != nullptr) *page_ = 1;
  process_ = ::getpid();
}

bool ForkMark::is_other_process() const noexcept { return process_ != ::getpid(); }

}  // namespace tern::net
