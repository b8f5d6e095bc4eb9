package resource

import (
	"time"

	"github.com/gatehouse/gatehouse/store"
)

// AppendTable appends a table of one object. definitions tells whether the column definitions are wanted: a watch sends them with its
// first event only.
func (s *Service) AppendTable(b []byte, t *Type, i *store.Item, form TableForm, definitions bool, now time.Time) ([]byte, error) {
	b, err := s.AppendRow(t.appendTableHead(b, i.Revision, form, definitions), t, i, form, now)
	if err != nil {
		return nil, err
	}
	return append(b, "]}"...), nil
}

// AppendTableBookmark appends a bookmark's object as the one row of a table: the end of the initial events is said in its metadata, which are
// there also where no objects are wanted.
func (t *Type) AppendTableBookmark(b []byte, c Change, form TableForm, definitions bool, now time.Time) ([]byte, error) {
	row, err := t.row(t.bookmarkObject(c))
	if err != nil {
		return nil, err
	}
	b = appendCells(t.appendTableHead(b, c.Revision, form, definitions), row, now)
	if form.Include == IncludeWhole {
		b, err = t.AppendBookmark(b, c)
	} else {
		b, err = t.AppendPartialBookmark(b, c, form.Version)
	}
	if err != nil {
		return nil, err
	}
	return append(b, "}]}"...), nil
}

// appendTableHead begins a table, up to its first row.
func (t *Type) appendTableHead(b []byte, revision int64, form TableForm, definitions bool) []byte {
	l := List{Type: t, Revision: revision}
	b = append(l.appendListMeta(form.Version.appendHead(b, "Table")), `,"columnDefinitions":`...)
	if definitions {
		b = append(b, t.columnDefinitions...)
	} else {
		b = append(b, "null"...)
	}
	return append(b, `,"rows":[`...)
}
