import { html } from "../html.js";

/** How much of our holding a leader's sale sells, and what becomes of the rest. */
export function SellRule() {
  return html`<section class="panel panel-sellrule" aria-labelledby="sellrule-title">
    <header class="panel-head"><h2 id="sellrule-title">How a sale is sized</h2></header>
    <div class="panel-body prose">
      <p>A sale copies the <strong>part</strong> he sells, not the amount: our sale = our holding of him × his sale ÷ his holding before it, never more than we hold.</p>
      <dl class="pairs">
        <dt>He holds 1,000 and sells 250</dt><dd>a quarter</dd>
        <dt>We hold 40 through him</dt><dd>we sell 10</dd>
        <dt>He sells the rest</dt><dd>we sell all 30</dd>
      </dl>
      <p>If we hold nothing of him, nothing happens. What could not be sold, because it was dust, below the venue's minimum or without a buyer, stays as a debt, joins his next sale, and is tried again with the marks. Limits on purchases do not hold a sale back.</p>
      <p class="sub">With “Size of a sale” on “by his shares”, a sale is instead a part of his shares, as a purchase is.</p>
    </div>
  </section>`;
}
