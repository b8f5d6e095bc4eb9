package resource

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Column describes one column of a Table. Names, types and descriptions are those of the reference: clients print the
// names, sort by the types and offer the descriptions.
type Column struct {
	// Name is the heading; Type and Format are those of OpenAPI.
	Name, Type, Format string
	// Description tells what the cells hold.
	Description string
	// Priority is 0 for columns that are always shown and 1 for those of wide output.
	Priority int32
}

// columns says how objects of one type become the rows of a Table.
type columns struct {
	Definitions []Column
	// Cells returns the cells of an object, in the order of the definitions: strings, integers, booleans, and an age for each
	// cell that changes with the clock. It depends on nothing but the object.
	Cells func(Object) []any
	// Conditions returns what the row as a whole is marked with; nil where no object of the type ever is.
	Conditions func(Object) []metav1.TableRowCondition
	// Order is what rows are sorted by before their names; nil where these are enough. It has to decode every object of a list.
	Order func(Object) int32
	// Bare columns are those of types that have none of their own. Without objects their tables have null in place of rows.
	Bare bool
}

// age is a cell that tells how long ago something was, between two fixed texts.
type age struct {
	t             time.Time
	before, after string
}

// text is the cell at a moment; a moment that is not known is said to be so.
func (a age) text(now time.Time) string {
	if a.t.IsZero() {
		return a.before + unknown + a.after
	}
	return a.before + duration.HumanDuration(now.Sub(a.t)) + a.after
}

// What cells hold in place of an empty value.
const (
	none    = "<none>"
	unset   = "<unset>"
	unknown = "<unknown>"
)

// columnsFor returns the columns of a type. It builds them anew, so that they are asked for once per type.
func columnsFor(t *Type) *columns {
	var c *columns
	switch t.Group {
	case "":
		c = coreColumns(t.Resource)
	case "apps", "batch", "autoscaling", "policy":
		c = workloadColumns(t.Resource)
	case "storage.k8s.io":
		c = storageColumns(t.Resource)
	case "networking.k8s.io", "discovery.k8s.io":
		c = networkColumns(t.Resource)
	case "events.k8s.io":
		c = eventColumns()
	case "resource.k8s.io":
		c = deviceColumns(t.Resource)
	case "apiregistration.k8s.io":
		c = apiServiceColumns()
	case "admissionregistration.k8s.io":
		c = admissionColumns(t.Resource)
	default:
		c = clusterColumns(t.Resource)
	}
	if c == nil {
		return createdColumns()
	}
	if t.StoredAs != nil {
		c.Cells = convertedCells(t.StoredAs, c.Cells)
	}
	return c
}

// convertedCells prints the stored form of an object. One that cannot be converted shows its name, as far as the columns
// have it, and nothing else.
func convertedCells(conversion *Conversion, cells func(Object) []any) func(Object) []any {
	return func(o Object) []any {
		stored, err := conversion.ToStored(o)
		if err != nil {
			return []any{o.GetName()}
		}
		return cells(stored)
	}
}

// rowsOf joins the definitions of a type's columns with the function that fills them.
func rowsOf[P Object](cells func(P) []any, definitions ...Column) *columns {
	return &columns{Definitions: definitions, Cells: func(o Object) []any { return cells(o.(P)) }}
}

// createdColumns are those of a type without columns of its own.
func createdColumns() *columns {
	created := Column{Name: "Created At", Type: "date", Description: documented(metav1.ObjectMeta{}, "creationTimestamp")}
	c := rowsOf(func(o Object) []any {
		return []any{o.GetName(), o.GetCreationTimestamp().UTC().Format(time.RFC3339)}
	}, nameColumn(), created)
	c.Bare = true
	return c
}

// ageColumns are those of a type that shows nothing but names and ages.
func ageColumns() *columns {
	return rowsOf(func(o Object) []any { return []any{o.GetName(), ageOf(o)} }, nameColumn(), ageColumn())
}

func nameColumn() Column {
	return Column{Name: "Name", Type: "string", Format: "name", Description: documented(metav1.ObjectMeta{}, "name")}
}

func ageColumn() Column {
	return textColumn("Age", documented(metav1.ObjectMeta{}, "creationTimestamp"))
}

// textColumn is a column of strings. Some of these hold numbers all the same; the type is what the reference declares.
func textColumn(name, description string) Column {
	return Column{Name: name, Type: "string", Description: description}
}

// numberColumn is a column of integers.
func numberColumn(name, description string) Column {
	return Column{Name: name, Type: "integer", Description: description}
}

// flagColumn is a column of booleans.
func flagColumn(name, description string) Column {
	return Column{Name: name, Type: "boolean", Description: description}
}

// wideColumns moves columns to wide output.
func wideColumns(columns ...Column) []Column {
	for i := range columns {
		columns[i].Priority = 1
	}
	return columns
}

// documented is the description that an API type gives of one of its fields, by JSON name.
func documented(t interface{ SwaggerDoc() map[string]string }, field string) string {
	return t.SwaggerDoc()[field]
}

// ageOf is the age of an object.
func ageOf(o Object) age { return age{t: o.GetCreationTimestamp().Time} }

// orElse is what a pointer points at, or the given value.
func orElse[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// orText is a text, or the given one in place of an empty text.
func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// containerColumns are the two wide columns of everything that has a pod template.
func containerColumns() []Column {
	return wideColumns(
		textColumn("Containers", "Names of each container in the template."),
		textColumn("Images", "Images referenced by each container in the template."),
	)
}

// containerCells fills containerColumns.
func containerCells(containers []corev1.Container) (names, images string) {
	var n, i []string
	for _, c := range containers {
		n, i = append(n, c.Name), append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}
