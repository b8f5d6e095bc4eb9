package resource

import (
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Table is the set of served resources, in the order discovery lists them. It is immutable.
type Table struct {
	types  []*Type
	byGVR  map[schema.GroupVersionResource]*Type
	groups []GroupVersions
}

// GroupVersions is one API group with its served versions, the preferred one first.
type GroupVersions struct {
	Group    string
	Versions []string
}

// NewTable checks and indexes the types. Group order and version order follow first appearance.
func NewTable(types ...*Type) (*Table, error) {
	t := &Table{types: types, byGVR: make(map[schema.GroupVersionResource]*Type, len(types))}
	for _, ty := range types {
		gvr := ty.GVR()
		if t.byGVR[gvr] != nil {
			return nil, fmt.Errorf("resource table: %s is described twice", gvr)
		}
		if (ty.Fields == nil) != (ty.FieldNames == nil) {
			return nil, fmt.Errorf("resource table: %s: Fields and FieldNames go together", gvr)
		}
		t.byGVR[gvr] = ty
		ty.columns = columnsFor(ty)
		definitions, err := json.Marshal(tableColumns(ty.columns.Definitions))
		if err != nil {
			return nil, fmt.Errorf("resource table: columns of %s: %w", gvr, err)
		}
		ty.columnDefinitions = definitions
		i := slices.IndexFunc(t.groups, func(g GroupVersions) bool { return g.Group == ty.Group })
		if i < 0 {
			i = len(t.groups)
			t.groups = append(t.groups, GroupVersions{Group: ty.Group})
		}
		if g := &t.groups[i]; !slices.Contains(g.Versions, ty.Version) {
			g.Versions = append(g.Versions, ty.Version)
		}
	}
	for _, ty := range types {
		if c := ty.StoredAs; c != nil && t.byGVR[schema.GroupVersionResource{Group: c.Group, Version: c.Version, Resource: ty.Resource}] == nil {
			return nil, fmt.Errorf("resource table: %s is stored as %s/%s, which is not described", ty.GVR(), c.Group, c.Version)
		}
	}
	return t, nil
}

// Types returns every type in discovery order. The slice must not be changed.
func (t *Table) Types() []*Type { return t.types }

// Groups returns the groups in discovery order, the core group included. The slice must not be changed.
func (t *Table) Groups() []GroupVersions { return t.groups }

// Lookup finds the type that serves a resource of a group and version.
func (t *Table) Lookup(group, version, resource string) (*Type, bool) {
	ty, ok := t.byGVR[schema.GroupVersionResource{Group: group, Version: version, Resource: resource}]
	return ty, ok
}

// HasGroupVersion reports whether anything is served under the group and version.
func (t *Table) HasGroupVersion(group, version string) bool {
	return slices.ContainsFunc(t.groups, func(g GroupVersions) bool {
		return g.Group == group && slices.Contains(g.Versions, version)
	})
}

func tableColumns(columns []Column) []metav1.TableColumnDefinition {
	out := make([]metav1.TableColumnDefinition, len(columns))
	for i, c := range columns {
		out[i] = metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description, Priority: c.Priority}
	}
	return out
}

// inGroup sets group and version of the types of one group version.
func inGroup(group, version string, types ...*Type) []*Type {
	for _, t := range types {
		t.Group, t.Version, t.meta = group, version, metaRulesOf(group, t.Resource)
	}
	return types
}

// Builtin is the table of the resources that Kubernetes 1.36 serves by default.
func Builtin() (*Table, error) {
	return NewTable(slices.Concat(
		coreTypes(), apiRegistrationTypes(), appsTypes(), eventsTypes(), authenticationTypes(), authorizationTypes(),
		autoscalingTypes(), batchTypes(), certificatesTypes(), networkingTypes(), policyTypes(), rbacTypes(),
		storageTypes(), admissionTypes(), apiExtensionsTypes(), schedulingTypes(), coordinationTypes(), nodeTypes(), discoveryTypes(),
		resourceTypes(), flowcontrolTypes(),
	)...)
}
