// PROVISIONAL, to be overwritten by K2.
#pragma once
namespace assay { namespace {
template <class S> typename S::Float exp(typename S::Float x) {
  using F = typename S::Float;
  x = S::min(S::set(88.0f), S::max(S::set(-87.0f), x));
  F n = S::round(S::mul(x, S::set(1.44269504f)));
  F f = S::fma(n, S::set(-0.693359375f), x);
  f = S::fma(n, S::set(2.12194440e-4f), f);
  F p = S::set(1.9875691500e-4f);
  p = S::fma(p, f, S::set(1.3981999507e-3f)); p = S::fma(p, f, S::set(8.3334519073e-3f));
  p = S::fma(p, f, S::set(4.1665795894e-2f)); p = S::fma(p, f, S::set(1.6666665459e-1f)); p = S::fma(p, f, S::set(5.0000001201e-1f));
  p = S::fma(p, S::mul(f, f), S::add(f, S::set(1.0f)));
  return S::mul(p, S::power_of_two(n));
}
template <class S> typename S::Float tanh(typename S::Float x) {
  typename S::Float a = S::abs(x), e = exp<S>(S::mul(a, S::set(-2.0f)));
  return S::copy_sign(S::div(S::sub(S::set(1), e), S::add(S::set(1), e)), x);
}
template <class S> typename S::Float silu(typename S::Float x) { return S::div(x, S::add(S::set(1), exp<S>(S::sub(S::zero(), x)))); }
template <class S> typename S::Float gelu_tanh(typename S::Float x) {
  typename S::Float u = S::mul(S::set(0.7978845608f), S::fma(S::mul(S::mul(x, x), x), S::set(0.044715f), x));
  return S::mul(S::mul(x, S::set(0.5f)), S::add(S::set(1), tanh<S>(u)));
}
template <class S> typename S::Float gelu(typename S::Float x) {
  using F = typename S::Float;
  F z = S::mul(S::abs(x), S::set(0.70710678f)), t = S::div(S::set(1), S::fma(z, S::set(0.3275911f), S::set(1)));
  F p = S::set(1.061405429f);
  p = S::fma(p, t, S::set(-1.453152027f)); p = S::fma(p, t, S::set(1.421413741f)); p = S::fma(p, t, S::set(-0.284496736f)); p = S::fma(p, t, S::set(0.254829592f));
  p = S::mul(p, t);
  F e = S::sub(S::set(1), S::mul(p, exp<S>(S::sub(S::zero(), S::mul(z, z)))));
  return S::mul(S::mul(x, S::set(0.5f)), S::add(S::set(1), S::copy_sign(e, x)));
}
}}
