package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

const (
	maxAttachmentBytes = 256 << 10 // of the keys and values of its metadata
	maxVolumeError     = 1024      // bytes of a message

	maxInt32 = 1<<31 - 1
)

// VolumeAttachment are the defaults and rules of a VolumeAttachment, whose specification never changes. The status is checked by the same
// rules, and a write of it changes nothing else.
func VolumeAttachment() *rules.Kind {
	oneSource := "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	inline := inlineVolumeSpec()
	fields := []rules.Entry{
		rules.At("spec.attacher", driverName()...),
		rules.At("spec.source", rules.Fill(func(v *storagev1.VolumeAttachmentSource) {
			if v.InlineVolumeSpec != nil {
				rules.FillIn(inline, v.InlineVolumeSpec)
			}
		}), rules.Check(func(c *rules.Checker, v, _ *storagev1.VolumeAttachmentSource) {
			switch name, spec := v.PersistentVolumeName, v.InlineVolumeSpec; {
			case name == nil && spec == nil:
				c.Add(field.Required(c.Path(), oneSource))
			case name != nil && spec != nil:
				c.Add(field.Forbidden(c.Path(), oneSource))
			case name != nil && *name == "":
				c.Add(field.Required(c.At("persistentVolumeName"), "must specify non empty persistentVolumeName"))
			case spec != nil:
				rules.In(c, inline, spec, nil, "inlineVolumeSpec")
			}
		})),
		rules.At("spec.nodeName", core.ClassName()),
		rules.At("status.attachmentMetadata", rules.Check(checkAttachmentMetadata)),
		rules.At("status.attachError", rules.Check(checkVolumeError)),
		rules.At("status.detachError", rules.Check(checkVolumeError)),
		rules.At("spec.source.persistentVolumeName", rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, false) })),
		rules.At("spec", rules.Immutable()),
	}
	return rules.For(rules.Spec[storagev1.VolumeAttachment]{
		Fields: fields,
		Parts: map[string]rules.Part[storagev1.VolumeAttachment]{
			"status": {Fields: fields, Update: func(o, old *storagev1.VolumeAttachment) { keepMeta(o, old) }},
		},
	})
}

func checkAttachmentMetadata(c *rules.Checker, v, _ *map[string]string) {
	total := 0
	for name, value := range *v {
		total += len(name) + len(value)
	}
	if total > maxAttachmentBytes {
		c.Add(field.TooLong(c.Path(), "", maxAttachmentBytes))
	}
}

// checkVolumeError bounds a message. The bound that it tells is another one than it has, which is what clients see from the reference.
func checkVolumeError(c *rules.Checker, v, _ *storagev1.VolumeError) {
	if len(v.Message) > maxVolumeError {
		c.Add(field.TooLong(c.At("message"), "", maxAttachmentBytes))
	}
	if v.ErrorCode != nil && *v.ErrorCode < 0 {
		c.Add(field.Invalid(c.At("errorCode"), *v.ErrorCode, utilvalidation.InclusiveRangeError(0, maxInt32)))
	}
}

// keepMeta keeps the metadata that a write of the status may not change, for kinds that were strict about it from their beginning.
func keepMeta(o, old metav1.Object) { metav1.ResetObjectMetaForStatus(o, old) }
