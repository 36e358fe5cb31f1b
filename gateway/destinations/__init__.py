"""Places where objects go. Each kind is one file: `dicom` and `folder`; other packages bring more."""
