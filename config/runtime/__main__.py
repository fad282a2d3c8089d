import sys

from config.runtime.manager import main

sys.exit(main())
