# Helpers for policies about pods: where the pod is in the object under review, and its containers.
#
# A rule of a caller must not depend on a field that may be absent, such as the name of a container: an undefined
# value makes the rule silent. The functions here are total for that reason.
package gatehouse.lib.pods

# template is the pod, or the template that pods are made from, with metadata and spec.
template := template_of(input.object)

old_template := template_of(input.oldObject)

template_of(object) := object if input.kind.kind == "Pod"

else := object.template if input.kind.kind == "PodTemplate"

else := object.spec.jobTemplate.spec.template if input.kind.kind == "CronJob"

else := object.spec.template

default spec := {}

spec := template.spec

# prefix is the path from the object to the template.
prefix := "" if input.kind.kind == "Pod"

else := "template." if input.kind.kind == "PodTemplate"

else := "spec.jobTemplate.spec.template." if input.kind.kind == "CronJob"

else := "spec.template."

# containers holds every container of every list.
containers := [{"list": list, "index": i, "container": c} |
	some list in ["initContainers", "containers", "ephemeralContainers"]
	some i, c in spec[list]
]

# changed is true unless an update leaves the spec and the annotations of the template alone, as an update of
# status, labels or finalizers does: those must stay possible on pods that are older than the policy.
default changed := true

changed := false if {
	input.operation == "UPDATE"
	written_spec(old_template) == written_spec(template)
	annotations(old_template) == annotations(template)
}

# written_spec is what a write could have changed for the worse. A binding names the node and no more: what was
# admitted, be it by an exemption, must find its node.
written_spec(t) := object.remove(t.spec, ["nodeName"]) if input.subresource == "binding"

else := t.spec

annotations(t) := object.get(t, ["metadata", "annotations"], {})

# label names a container in a message.
label(c) := sprintf("container %q", [object.get(c.container, "name", "")])

# field is the path of a field of a container.
field(c, name) := sprintf("%sspec.%s[%d].%s", [prefix, c.list, c.index, name])

# spec_field is the path of a field of the pod's spec.
spec_field(name) := sprintf("%sspec.%s", [prefix, name])

# contexts holds the pod's own security context and that of each container, where there is one that says something.
contexts := array.concat(
	[{"context": x} |
		x := spec.securityContext
		x != {}
	],
	[{"context": x, "container": c} |
		some c in containers
		x := c.container.securityContext
		x != {}
	],
)

# context_label names the owner of a security context in a message.
context_label(x) := label(x.container) if x.container

else := "pod"

# context_field is the path of a field of a security context.
context_field(x, name) := field(x.container, sprintf("securityContext.%s", [name])) if x.container

else := spec_field(sprintf("securityContext.%s", [name]))

# images holds every image that the pod can pull, volumes included.
images := array.concat(
	[{"image": object.get(c.container, "image", ""), "label": label(c), "field": field(c, "image")} | some c in containers],
	[{
		"image": object.get(v.image, "reference", ""),
		"label": sprintf("volume %q", [object.get(v, "name", "")]),
		"field": spec_field(sprintf("volumes[%d].image.reference", [i])),
	} |
		some i, v in spec.volumes
		is_object(v.image)
	],
)
