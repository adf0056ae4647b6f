// Elementary functions as templates over the vector types of this folder. Absolute error below 1e-6 against float64
// (exp: relative error), what is not a number in comes out as such. Coefficients are minimax fits.
#pragma once

namespace assay {
namespace {

template <class S, size_t n>
typename S::Float polynomial(typename S::Float x, const float (&coefficients)[n]) {
  typename S::Float y = S::set(coefficients[n - 1]);
  for (size_t i = n - 1; i-- > 0;) y = S::fma(y, x, S::set(coefficients[i]));
  return y;
}

// The argument is taken as within -87 .. 88: no result is denormal (slow on Intel) or infinite.
template <class S>
typename S::Float exp(typename S::Float x) {
  using Float = typename S::Float;
  x = S::min(S::set(88.0f), S::max(S::set(-87.0f), x));
  // x = n ln 2 + f. Adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits. ln 2 is split in two:
  // n times the first part is exact.
  const Float magic = S::set(12582912.0f);
  const Float shifted = S::add(S::mul(x, S::set(1.44269504f)), magic);
  const Float n = S::sub(shifted, magic);
  Float f = S::fma(n, S::set(-0.693359375f), x);
  f = S::fma(n, S::set(2.12194440e-4f), f);
  const Float power = S::from_bits(S::add_int(S::template shift_left<23>(S::bits(shifted)), S::set_int(127 << 23)));
  // A product, not a sum in the exponent bits: that could make a number of what is none.
  return S::mul(power, polynomial<S>(f, {1.00000012f, 0.999999702f, 0.499988914f, 0.166675791f, 0.0419158749f,
                                         0.00829757098f}));
}

template <class S>
typename S::Float tanh(typename S::Float x) {
  using Float = typename S::Float;
  const Float e = exp<S>(S::mul(S::abs(x), S::set(-2.0f)));
  return S::copy_sign(S::div(S::sub(S::set(1), e), S::add(S::set(1), e)), x);
}

template <class S>
typename S::Float silu(typename S::Float x) {
  return S::div(x, S::add(S::set(1), exp<S>(S::sub(S::zero(), x))));
}

// x Phi(x) = max(x, 0) - |x| Phi(-|x|), and ln Phi(-t) is nearly a parabola: one polynomial within an exp, no division.
// Beyond 5.6 the second term stays what it is there, 6e-8.
template <class S>
typename S::Float gelu(typename S::Float x) {
  using Float = typename S::Float;
  const Float t = S::min(S::set(5.6f), S::abs(x));
  const Float tail = exp<S>(polynomial<S>(t, {-0.69314450f, -0.79792535f, -0.31810486f, -0.036822665f, 0.0054140124f,
                                              -0.00044081212f, 2.0792823e-07f, 2.1844078e-06f}));
  return S::sub(S::max(S::zero(), x), S::mul(t, tail));
}

template <class S>
typename S::Float gelu_tanh(typename S::Float x) {
  using Float = typename S::Float;
  const Float twice = S::mul(S::mul(x, S::set(1.5957691216f)), S::fma(S::mul(x, x), S::set(0.044715f), S::set(1)));
  return S::div(x, S::add(S::set(1), exp<S>(S::sub(S::zero(), twice))));
}

}  // namespace
}  // namespace assay
