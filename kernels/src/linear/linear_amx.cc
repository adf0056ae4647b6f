// AMX: tiles of 16 rows by 64 bytes. The packed weights have the layout of a tile already: 16 groups of four input
// columns by 16 output columns, with a stride of 256 bytes between groups.
#include "linear/table.h"
#include "simd/avx512.h"

#if defined(ASSAY_KERNELS_EMULATE)
#include "linear/amx_emulation.h"
#endif

namespace assay {
namespace {

constexpr size_t kBlock = 16;       // rows and output columns of a tile of sums
constexpr size_t kDepth = 64;       // input columns of one instruction
constexpr size_t kWeightRow = 256;  // bytes from a group of four input columns to the next, in a panel

// All eight tiles at full size. Other users of AMX on the thread, such as ONNX Runtime, check their configuration
// before they start. Releasing the tiles makes context switches cheaper.
struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64, "as the instruction reads it");
// In static memory: GCC 12 declares that ldtilecfg reads eight bytes, and would drop stores to the other 56.
alignas(64) constexpr TileConfig kTileConfig = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

struct TileSetup {
  TileSetup() { _tile_loadconfig(&kTileConfig); }
  ~TileSetup() { _tile_release(); }
  TileSetup(const TileSetup&) = delete;
  TileSetup& operator=(const TileSetup&) = delete;
};

// Sixteen steps of four input columns, so 64 * ahead_step bytes: as many cache lines as ahead_step says.
inline void fetch_ahead(const int8_t*& ahead, size_t lines) {
  for (size_t i = 0; i < lines; ++i, ahead += 64) _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T1);
}

// sums [16][64] for up to 16 rows: one tile of activations, four of sums.
inline void narrow_sums(const Tile<uint8_t>& t, size_t begin, size_t end, const int8_t*& ahead, int32_t* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = begin; k < end; k += kDepth) {
    const int8_t* w = t.weight + k * kPanelColumns;
    _tile_loadd(4, t.rows + k, t.k_padded);
    _tile_loadd(5, w, kWeightRow);
    _tile_dpbusd(0, 4, 5);
    _tile_loadd(6, w + 64, kWeightRow);
    _tile_dpbusd(1, 4, 6);
    _tile_loadd(7, w + 128, kWeightRow);
    _tile_dpbusd(2, 4, 7);
    _tile_loadd(5, w + 192, kWeightRow);
    _tile_dpbusd(3, 4, 5);
    fetch_ahead(ahead, t.ahead_step);
  }
  _tile_stored(0, sums, kPanelColumns * sizeof(int32_t));
  _tile_stored(1, sums + kBlock, kPanelColumns * sizeof(int32_t));
  _tile_stored(2, sums + 2 * kBlock, kPanelColumns * sizeof(int32_t));
  _tile_stored(3, sums + 3 * kBlock, kPanelColumns * sizeof(int32_t));
}

// The same for up to 32 rows and half of the columns: every loaded tile is used twice.
inline void wide_sums(const Tile<uint8_t>& t, size_t begin, size_t end, size_t column, const int8_t*& ahead,
                      int32_t* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = begin; k < end; k += kDepth) {
    const int8_t* w = t.weight + k * kPanelColumns + 4 * column;
    const uint8_t* rows = t.rows + k;
    _tile_loadd(4, rows, t.k_padded);
    _tile_loadd(6, w, kWeightRow);
    _tile_dpbusd(0, 4, 6);
    _tile_loadd(7, w + 64, kWeightRow);
    _tile_dpbusd(1, 4, 7);
    _tile_loadd(5, rows + kBlock * t.k_padded, t.k_padded);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
    fetch_ahead(ahead, (t.ahead_step + 1) / 2);
  }
  int32_t* to = sums + column;
  _tile_stored(0, to, kPanelColumns * sizeof(int32_t));
  _tile_stored(1, to + kBlock, kPanelColumns * sizeof(int32_t));
  _tile_stored(2, to + kBlock * kPanelColumns, kPanelColumns * sizeof(int32_t));
  _tile_stored(3, to + kBlock * kPanelColumns + kBlock, kPanelColumns * sizeof(int32_t));
}

struct AmxMicro {
  using Simd = Avx512;
  using Element = uint8_t;
  using Setup = TileSetup;
  static constexpr size_t kRows = 2 * kBlock;
  // A tile always has 16 rows; the products of those past the last one are ignored.
  static constexpr size_t kExtraRows = kBlock - 1;

  static void tile(size_t rows, const Tile<uint8_t>& t) {
    alignas(64) int32_t sums[kRows * kPanelColumns];
    const int8_t* ahead = t.ahead;
    for (size_t g = 0; g < t.groups; ++g) {
      const size_t begin = g * t.group, end = begin + t.group < t.k_padded ? begin + t.group : t.k_padded;
      if (rows <= kBlock) {
        narrow_sums(t, begin, end, ahead, sums);
      } else {
        wide_sums(t, begin, end, 0, ahead, sums);
        wide_sums(t, begin, end, kPanelColumns / 2, ahead, sums);
      }
      for (size_t j = 0; j < kPanelColumns; j += Avx512::kWidth) {
        // Activations are stored with 128 added.
        const __m512i correction = _mm512_slli_epi32(_mm512_loadu_si512(t.column_sum + g * t.n_padded + j), 7);
        for (size_t r = 0; r < rows; ++r) {
          const __m512 scale = _mm512_set1_ps(t.scale[r * t.groups + g]);
          const __m512i exact = _mm512_sub_epi32(_mm512_load_si512(sums + r * kPanelColumns + j), correction);
          const __m512 sum = _mm512_cvtepi32_ps(exact);
          float* out = t.out + r * kPanelColumns + j;
          _mm512_store_ps(out, g == 0 ? _mm512_mul_ps(sum, scale) : _mm512_fmadd_ps(sum, scale, _mm512_load_ps(out)));
        }
      }
    }
  }
};

}  // namespace

const LinearKernels& linear_amx() {
  static constexpr LinearKernels kernels = linear_kernels<AmxMicro, 128, 4>();
  return kernels;
}

}  // namespace assay
