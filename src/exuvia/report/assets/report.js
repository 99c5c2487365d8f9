for (const tab of document.querySelectorAll('.tabs button')) tab.addEventListener('click', () => {
  for (const other of document.querySelectorAll('.tabs button')) {
    other.setAttribute('aria-selected', String(other === tab));
    document.getElementById(other.dataset.set).hidden = other !== tab;
  }
});
for (const head of document.querySelectorAll('.report thead th')) {
  const sort = () => {
    const body = head.closest('table').tBodies[0], column = head.cellIndex, up = head.dataset.up !== '1';
    for (const other of head.parentNode.cells) { delete other.dataset.up; other.removeAttribute('aria-sort'); }
    head.dataset.up = up ? '1' : '0';
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const x = parseFloat(key(a)), y = parseFloat(key(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || key(a).localeCompare(key(b));
      return x - y;
    });
    if (!up) rows.reverse();
    body.append(...rows);
  };
  head.tabIndex = 0;
  head.addEventListener('click', sort);
  head.addEventListener('keydown', event => { if (event.key === 'Enter') sort(); });
}
