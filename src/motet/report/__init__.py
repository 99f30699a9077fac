"""Reports: one HTML page about a run, several runs, or a comparison.

A page is made of facts (`motet.report.facts`): records, counts and arrays. Where they come from is
the business of the caller, `motet.run.reporting` for run folders. Each section of the page is one
file that turns facts into the elements of `motet.report.elements`; `motet.report.page` writes them
as HTML, with the styles and scripts of ``assets/`` and plotly.js inside, so that the page needs no
network.
"""
